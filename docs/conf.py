"""Sphinx configuration; scripts/check builds with warnings as errors."""

import securemail

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
