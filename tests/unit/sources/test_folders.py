"""A folder is whole, or it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sources.folders import whole_folder


def test_what_was_written_takes_the_folders_place(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "raw"
    with whole_folder(target) as folder:
        (folder / "a").write_text("new")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["a"]


def test_the_old_content_goes_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "raw"
    target.mkdir()
    (target / "old").write_text("old")
    with whole_folder(target) as folder:
        (folder / "new").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new"]


def write_half(target: Path, trouble: BaseException) -> None:
    with whole_folder(target) as folder:
        (folder / "half").write_text("hal")
        raise trouble


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_trouble_leaves_the_old_content_and_nothing_unfinished(tmp_path: Path, trouble: BaseException) -> None:
    target = tmp_path / "raw"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(type(trouble)):
        write_half(target, trouble)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
    assert (target / "old").read_text() == "old"


def test_what_a_killed_run_left_is_not_mixed_in(tmp_path: Path) -> None:
    leftover = tmp_path / "raw.part"
    leftover.mkdir()
    (leftover / "stale").write_text("stale")
    with whole_folder(tmp_path / "raw") as folder:
        (folder / "fresh").write_text("fresh")
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["fresh"]
