"""Fuzz targets: functions of octets that return, or raise what our public contract says.

`targets.TARGETS` has them all. `tests/test_fuzz.py` gives each a few cases, `scripts/fuzz` as
many as there is time for. `cases/` keeps what was found; its index says why.
"""
