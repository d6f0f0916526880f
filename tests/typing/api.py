"""Uses the public names as a program would; it is type-checked by scripts/check, not run."""

import securemail

version: str = securemail.__version__
