"""What a test needs of the machine beside the project's own packages. Without it the test is left out, loudly."""

from __future__ import annotations

import os

import pytest

LEFT_OUT = "LEFT OUT, for this machine lacks "


def needed(there: object, what: str) -> pytest.MarkDecorator:
    """Leave the test out where `there` is false; in CI nothing is left out, and the test fails of what is missing.

    what: what is missing, and how to get it.
    """
    return pytest.mark.skipif(not there and "CI" not in os.environ, reason=LEFT_OUT + what)
