"""What looks for a secret in all encodings, by the name that the tests know."""

from securemail.testing.hostile.leaks import leaks as leaks
