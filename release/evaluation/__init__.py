"""How good a release is, measured on its test window, and against another release on the same people."""
