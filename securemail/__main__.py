"""`python -m securemail` is the `securemail` command."""

import sys

from .cli import main

sys.exit(main())
