"""`slate journal --at`: which moments it takes."""

from __future__ import annotations

import pytest
import typer

from cli.releases.journal import _moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01T00:00Z", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"]
)
def test_what_is_no_moment_in_utc_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no time; write it like 2026-11-01T12:00Z"):
        _moment(text)
