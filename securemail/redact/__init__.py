"""Secrets out of text, by value: whatever a line looks like, what is known is not in it.

Pure. `Redactor` is told what is secret; `hide` is for a line alone.
"""

from __future__ import annotations

from .redactor import Redactor as Redactor
from .redactor import hide as hide
