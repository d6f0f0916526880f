"""The layers of docs/architecture.md, read from the imports of every module.

A module imports only from layers below its own, or from its own room (a package such as `tls`
is one room). What is imported `if TYPE_CHECKING:` does not count. Imports inside functions do.
"""

import ast
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# A new module gets a line here. Where a room uses another of the same layer in the design, the
# lower one has the smaller number: the design's number is the one before the point.
LAYERS: dict[str, float] = {
    "errors": 0.0,
    "values": 0.1,  # the base of frozen values
    "secret": 0.0,  # what is shown nowhere
    "standard_ssl": 0.0,  # the standard SSLContext, whatever the host program did to it
    "redact": 0.5,  # secrets out of text
    "hosts": 0.5,  # host names, normalised
    "pem": 0.5,  # certificates out of files
    "files": 0.4,  # those that decide whom we believe, read
    "well_known": 0.4,  # large providers by name
    "reasons": 0.5,  # what is wrong with a certificate, as typed values
    "answers": 0.5,  # what to do about a declined sign-in
    "pins": 1.0,
    "certificate": 1.2,  # one certificate, read
    "crl": 1.2,  # revocation lists out of files
    "report": 1.5,
    "client_certificate": 2.0,  # who we are, to a server that demands one
    "channel": 2.0,  # what credentials may travel over
    "trust": 2.2,  # who is believed
    "tls": 2.5,  # enforce; makes a channel, asks the trust store
    "sasl": 2.5,  # prove
    "modes": 2.8,  # how a connection becomes private
    "policy": 3.0,
    "policy_file": 3.5,  # what SECUREMAIL_POLICY names
    "watch": 3.9,  # an end for what OpenSSL would read for ever
    "wire": 4.0,
    "transcript": 4.02,  # a record that can be shown to anybody
    "connecting": 4.05,  # opens sockets
    "connector": 4.08,  # opens them in the caller's own way
    "trouble": 4.1,  # what failed, as errors of ours
    "travel": 4.15,  # what a sign-in may travel over
    "declining": 4.18,  # what to say of a sign-in that failed
    "signing_in": 4.2,  # choose, exchange, record
    "guard": 4.25,  # what may be said over what
    "connection": 4.3,  # opening and reporting: what the three protocols share
    "upgrading": 4.35,  # STARTTLS
    "standard_names": 4.4,  # a module of ours in the place of a standard one
    "python311": 4.4,  # its signatures
    "pop3": 4.5,
    "imap": 4.5,
    "smtp": 4.5,
    "": 4.9,  # securemail itself, the public names: not for what is below
    "testing": 5.0,  # loopback servers
    "cli": 5.5,
    "__main__": 6.0,
}

DEPENDENCIES = {"certifi", "cryptography", "idna"}  # imported only where they are needed
LOADED_ON_REQUEST = {"testing"}  # rooms that may need them at once: nothing else imports these
OPTIONAL = {  # by the rooms that are for an extra
    "cli": {"aiosmtpd", "trustme"},
    "testing": {"aiosmtpd", "pytest", "trustme"},
    "trust": {"truststore"},
}

FORBIDDEN = {  # room: (modules, why)
    "sasl": ({"ssl", "socket"}, "a mechanism knows nothing of how it travels"),
}
ENCODERS = {"base64", "binascii"}
MAY_ENCODE = "sasl.encoding"  # of the lines, and of SCRAM's fields


@dataclass(frozen=True)
class Import:
    target: str  # an absolute module name, or module.name for `from module import name`
    line: int
    top_level: bool

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


class Imports(ast.NodeVisitor):
    """Collects what a module imports when it runs, inside functions too."""

    def __init__(self, package: str) -> None:
        self.package = package  # what a relative import starts from
        self.found: list[Import] = []
        self.depth = 0

    def add(self, target: str, node: ast.AST) -> None:
        self.found.append(Import(target, getattr(node, "lineno", 0), self.depth == 0))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            parents = self.package.split(".")
            module = ".".join(parents[: len(parents) - node.level + 1] + [module] * bool(module))
        for alias in node.names:
            self.add(f"{module}.{alias.name}", node)

    def visit_Call(self, node: ast.Call) -> None:
        called = ast.unparse(node.func)
        if called in {"import_module", "importlib.import_module", "__import__"}:
            match node.args:
                case [ast.Constant(value=str(name)), *_]:
                    relative = name.startswith(".")
                    self.add(self.package + name if relative else name, node)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def inside_function(self, node: ast.AST) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = inside_function


def room_of(module: str) -> str:
    """securemail.tls.verify -> tls; securemail -> the empty name."""
    return module.partition(".")[2].partition(".")[0]


def target_room(target: str, modules: set[str]) -> str:
    """The room an import leads to: `from securemail import tls` and `from securemail import Pin`
    look alike, only the first one names a module."""
    room = room_of(target)
    named = any(module == f"securemail.{room}" for module in modules)
    return room if named else ""


def violations(sources: dict[str, tuple[str, bool]]) -> Iterator[str]:
    """`sources`: module name -> (source, is it a package's __init__)."""
    for module, (source, is_package) in sources.items():
        room = room_of(module)
        inner = module.partition(".")[2]
        if room not in LAYERS:
            yield f"{module}: not in the table of layers"
            continue
        package = module if is_package else module.rpartition(".")[0]
        imports = Imports(package)
        imports.visit(ast.parse(source))
        for found in imports.found:
            for problem in problems(room, inner, found, set(sources)):
                yield f"{module}:{found.line}: {problem}"


def problems(room: str, inner: str, found: Import, modules: set[str]) -> Iterator[str]:
    if found.top == "securemail":
        target = target_room(found.target, modules)
        if room == "errors":
            yield f"errors imports nothing of ours, but {found.target}"
        elif target not in LAYERS:
            yield f"imports {found.target}, which is not in the table of layers"
        elif target != room and LAYERS[target] >= LAYERS[room]:
            yield f"imports {found.target}, which is not in a lower layer"
        return

    forbidden, why = FORBIDDEN.get(room, (set(), ""))
    if found.top in forbidden:
        yield f"imports {found.top}: {why}"
    if room == "sasl" and found.top in ENCODERS and inner != MAY_ENCODE:
        yield f"imports {found.top}: only {MAY_ENCODE} encodes"
    if found.top in DEPENDENCIES:
        if found.top_level and room not in LOADED_ON_REQUEST:
            yield f"imports {found.top} at the top of the module, not where it is needed"
    elif found.top not in sys.stdlib_module_names | OPTIONAL.get(room, set()):
        yield f"imports {found.top}, which is neither standard nor a dependency"


def read_package() -> dict[str, tuple[str, bool]]:
    spec = importlib.util.find_spec("securemail")
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = ["securemail", *path.relative_to(root).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        sources[name] = (path.read_text(encoding="utf-8"), is_package)
    return sources


def test_every_module_imports_only_what_its_layer_may() -> None:
    sources = read_package()

    assert "securemail" in sources
    assert list(violations(sources)) == []


# --- the checker itself: each rule can fail, and its control does not -----------------------

EXISTING = ("errors", "values", "pins", "tls", "policy", "pop3", "imap", "cli", "trust", "sasl")


def check(module: str, source: str, *, package: bool = False) -> list[str]:
    sources = {f"securemail.{name}": ("", True) for name in EXISTING}
    sources["securemail"] = ("", True)
    sources[f"securemail.{module}"] = (source, package)
    return list(violations(sources))


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("unheard_of", "", "not in the table"),
        ("pins", "from securemail.policy import TLSPolicy", "not in a lower layer"),
        ("pins", "from securemail import policy", "not in a lower layer"),
        ("pins", "from . import policy", "not in a lower layer"),
        ("pins", "from .policy import TLSPolicy", "not in a lower layer"),
        ("pins", "import securemail.policy", "not in a lower layer"),
        ("pins", "def f():\n    from .policy import TLSPolicy", "not in a lower layer"),
        ("pins", "import importlib\nimportlib.import_module('.policy')", "not in a lower layer"),
        ("pins", "if True:\n    from .policy import TLSPolicy", "not in a lower layer"),
        ("pins", "from securemail import TLSPolicy", "not in a lower layer"),
        ("tls.verify", "from ..policy import TLSPolicy", "not in a lower layer"),
        ("tls.verify", "from securemail.sasl import choose", "not in a lower layer"),
        ("pop3", "from . import imap", "not in a lower layer"),
        ("errors", "from .values import Value", "errors imports nothing of ours"),
        ("errors", "import securemail.errors", "errors imports nothing of ours"),
        ("sasl.plain", "import ssl", "knows nothing of how it travels"),
        ("sasl.plain", "def f():\n    from socket import socket", "knows nothing"),
        ("sasl.plain", "import base64", "only sasl.encoding encodes"),
        ("sasl.plain", "from binascii import a2b_base64", "only sasl.encoding encodes"),
        ("sasl.exchange", "import base64", "only sasl.encoding encodes"),
        ("pins", "import requests", "neither standard nor a dependency"),
        ("pins", "from trustme import CA", "neither standard nor a dependency"),
        ("pins", "from cryptography import x509", "at the top of the module"),
        ("pins", "try:\n    import idna\nexcept ImportError: pass", "at the top of the module"),
        ("pins", "class C:\n    import certifi", "at the top of the module"),
        (
            "pins",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING: pass\nelse: import idna",
            "at the top of the module",
        ),
    ],
)
def test_a_violation_is_found(module: str, source: str, expected: str) -> None:
    (problem,) = check(module, source)

    assert problem.startswith(f"securemail.{module}:")
    assert expected in problem


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("policy", "from securemail.pins import Pin"),
        ("policy", "from securemail import pins"),
        ("policy", "from . import pins"),
        ("policy", "from .pins import Pin"),
        ("tls.verify", "from ..pins import Pin"),
        ("tls.verify", "from .context import Context"),
        ("tls.verify", "from securemail.tls import context"),
        (
            "tls.verify",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING: from ..policy import X",
        ),
        ("tls.verify", "import ssl, socket, base64"),
        ("sasl.plain", "import hmac, hashlib"),
        ("sasl.encoding", "import base64, binascii"),
        ("cli.check", "from securemail import TLSPolicy, imap"),
        ("pins", "def f():\n    from cryptography import x509"),
        ("testing.servers", "import trustme, aiosmtpd.controller, cryptography"),
        ("errors", "import ssl, poplib"),
    ],
)
def test_what_is_allowed_is_let_through(module: str, source: str) -> None:
    assert check(module, source) == []


def test_inside_a_package_a_dot_is_that_package() -> None:
    assert check("tls", "from .verify import verify", package=True) == []
    assert check("tls", "from ..policy import TLSPolicy", package=True) != []
