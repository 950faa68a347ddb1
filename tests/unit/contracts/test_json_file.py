"""A JSON file that is missing, damaged or hostile is an error with the next step, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import ArtefactError
from contracts.json_file import load_json, write_json


def test_what_was_written_is_loaded(tmp_path: Path) -> None:
    write_json({"b": [1], "a": "ä"}, tmp_path / "x.json")
    assert load_json(tmp_path / "x.json", "-") == {"a": "ä", "b": [1]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        (b"", "is damaged"),
        (b'{"a": ', "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[1]", "is damaged: it holds no JSON object"),
        (b"[" * 200_000, "is damaged"),
    ],
)
def test_anything_else_is_told_with_the_file_and_the_next_step(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"x\.json {said}(.|\n)*Build it again\.") as caught:
        load_json(path, "Build it again.")
    assert caught.value.next_step == "Build it again."
