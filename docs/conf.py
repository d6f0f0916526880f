"""Sphinx configuration; scripts/check builds with warnings as errors."""

import inspect
import re
from pathlib import Path

import securemail
import securemail.testing
from securemail.values import Value

PAGES = Path(securemail.__file__).parent / "explanations"
COPIES = Path(__file__).parent / "_explained"  # made here at each build, and ignored by git
TOCTREE = "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def copy_pages():
    """The page of each code into the documentation, and the overview with links to them."""
    COPIES.mkdir(exist_ok=True)
    kept = {page.name for page in PAGES.glob("*.md")}
    for old in COPIES.glob("*.md"):
        if old.name not in kept:
            old.unlink()
    for page in PAGES.glob("*.md"):
        text = linked(page.read_text(encoding="utf-8"))
        write(COPIES / page.name, text + (TOCTREE if page.stem == "index" else ""))


def linked(text):
    """Codes in backquotes lead to their pages. A code of one word may be a parameter's name as
    well, so that counts in a list of codes, and after "see"."""
    return re.sub(r"(?m)(^- |see )?`([a-z]+(?:-[a-z]+)*)`", link, text)


def link(found):
    before, code = found[1] or "", found[2]
    is_code = (before or "-" in code) and (PAGES / f"{code}.md").exists()
    return f"{before}[`{code}`]({code}.md)" if is_code else found[0]


def write(path, text):
    """Only what has changed, else each build would begin anew."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


copy_pages()


def show_fields(value):
    """What frozen values are made of, in the place of `*args, **kwargs`."""
    kind = (
        inspect.Parameter.KEYWORD_ONLY
        if value._kw_only
        else inspect.Parameter.POSITIONAL_OR_KEYWORD
    )
    given, annotated = [], inspect.get_annotations
    types = {
        name: hint for each in reversed(value.__mro__) for name, hint in annotated(each).items()
    }
    for name in value._fields:
        default = getattr(value, name, inspect.Parameter.empty)
        given.append(inspect.Parameter(name, kind, default=default, annotation=types[name]))
    value.__signature__ = inspect.Signature(given)
    for each in value.__subclasses__():
        show_fields(each)


for names in (securemail, securemail.testing):
    for name in names.__all__:
        getattr(names, name)  # loads its module
show_fields(Value)

project = "securemail"
author = "The securemail developers"
copyright = "2026, The securemail developers"
version = release = securemail.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"

myst_heading_anchors = 3  # so that pages can link to each other's sections

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"

# `word` in a docstring is code.
default_role = "literal"
# Defaults as they are written, not as objects print themselves.
autodoc_preserve_defaults = True
