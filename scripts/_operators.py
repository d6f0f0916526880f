"""The changes that `scripts/mutate` makes to a module: some of Cosmic Ray's, and ours."""

import ast
import difflib
from collections.abc import Iterator
from typing import Any, NamedTuple

import parso
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator

# One of each kind: `a - b` in the place of `a + b` is noticed by whatever notices `a * b`.
CORE = (
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Invert",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Mod_Mul",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceBinaryOperator_BitXor_BitAnd",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
)


class _Statement(Operator):
    """Replaces statements; a subclass says which, and by what."""

    def becomes(self, statement: Any) -> str | None:
        raise NotImplementedError

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if node.type == "simple_stmt" and self.becomes(node.children[0]) is not None:
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        statement = node.children[0]
        text = statement.get_first_leaf().prefix + (self.becomes(statement) or "")
        node.children[0] = parso.parse(text)
        return node

    @classmethod
    def examples(cls) -> Any:
        return ()


class RemoveStatement(_Statement):
    """A call, a raise, an assignment to an attribute, a del: gone."""

    def becomes(self, statement: Any) -> str | None:
        if statement.type in ("atom_expr", "raise_stmt", "del_stmt", "await_expr"):
            return "pass"
        if statement.type == "expr_stmt" and "." in statement.children[0].get_code():
            return "pass"
        return None


class ReturnNone(_Statement):
    """`return something` gives nothing."""

    def becomes(self, statement: Any) -> str | None:
        if statement.type != "return_stmt" or statement.children[1].get_code().strip() == "None":
            return None
        return "return None"


class CatchNothing(Operator):
    """`except Something` catches nothing. (Cosmic Ray's own does not know `except a.b`.)"""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if node.type == "except_clause":
            yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[1] = parso.parse(" ()")
        return node

    @classmethod
    def examples(cls) -> Any:
        return ()


class Negate(Operator):
    """`if x` becomes `if not (x)`, where x is no comparison, which has changes of its own."""

    COVERED = ("comparison", "not_test", "and_test", "or_test")

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        for place in self._conditions(node):
            yield node.children[place].start_pos, node.children[place].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        place = self._conditions(node)[index]
        node.children[place] = parso.parse(f" not ({node.children[place].get_code().strip()})")
        return node

    def _conditions(self, node: Any) -> list[int]:
        """Where in a statement or an expression they are."""
        if node.type not in ("if_stmt", "while_stmt", "comp_if", "test"):
            return []
        words = [leaf.get_code().strip() for leaf in node.children]
        places = [place + 1 for place, word in enumerate(words) if word in ("if", "elif", "while")]
        return [each for each in places if node.children[each].type not in self.COVERED]

    @classmethod
    def examples(cls) -> Any:
        return ()


OURS = (RemoveStatement, ReturnNone, CatchNothing, Negate)


class Mutant(NamedTuple):
    """`was` and `becomes`: the changed lines, by which it is known while others move."""

    definition: str
    was: str
    becomes: str
    code: str


def mutants(source: str) -> list[Mutant]:
    """Each change once, in the order of the lines."""
    tree = get_ast(source)
    runs = _run(ast.parse(source))
    found: dict[str, tuple[int, str]] = {}
    operators: list[Operator] = [get_operator(f"core/{name}")() for name in CORE]
    for operator in [*operators, *(each() for each in OURS)]:
        positions = [
            start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node)
        ]
        for occurrence, (line, _) in enumerate(positions):
            code = mutate_code(source, operator, occurrence)
            if code is not None and not _is_idle(runs, code):
                found.setdefault(code, (line, code))
    return [_described(source, code, line) for line, code in sorted(found.values())]


def _described(source: str, code: str, line: int) -> Mutant:
    was, becomes = [], []
    for each in list(difflib.unified_diff(source.splitlines(), code.splitlines(), n=0))[3:]:
        if each[0] in "-+":
            (was if each[0] == "-" else becomes).append(each[1:].strip())
    return Mutant(_definition(ast.parse(source), line), " / ".join(was), " / ".join(becomes), code)


def _definition(tree: ast.AST, line: int) -> str:
    """Of what function or class the line is."""
    names = []
    for node in ast.walk(tree):
        is_named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if is_named and node.lineno <= line <= (node.end_lineno or 0):
            names.append((node.lineno, node.name))
    return ".".join(name for _, name in sorted(names))


def _is_idle(runs: str, code: str) -> bool:
    """Whether the change cannot matter: in what only a type checker reads."""
    try:
        return runs == _run(ast.parse(code))
    except SyntaxError:
        return True


class _WithoutTypes(ast.NodeTransformer):
    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        """Whether by position or by name is for those who call, and mypy."""
        node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
        node.defaults += [each for each in node.kw_defaults if each is not None]
        node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        is_for_types = "TYPE_CHECKING" in ast.dump(node.test)  # turned or not
        return None if is_for_types else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        is_cast = isinstance(node.func, ast.Name) and node.func.id == "cast"
        return self.generic_visit(node.args[1]) if is_cast else self.generic_visit(node)


def _run(tree: ast.AST) -> str:
    """What is run of it. Annotations are not: every module of ours postpones them."""
    return ast.dump(_WithoutTypes().visit(tree))
