"""A file or folder is whole, or it is not there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from contracts.whole_files import content_folder, scratch_folder, whole_file, whole_folder, write_whole

TROUBLES = [OSError(28, "No space left on device"), KeyboardInterrupt()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_takes_the_files_place(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    with whole_file(path) as unfinished:
        unfinished.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["report.json"]


def write_half_a_file(path: Path, trouble: BaseException) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text("hal")
        raise trouble


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_leaves_the_old_file_and_nothing_unfinished(tmp_path: Path, trouble: BaseException) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(type(trouble)):
        write_half_a_file(path, trouble)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["report.json"]


def test_the_error_of_a_full_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(OSError, match="No space left") as refused, whole_file(path):
        Path("/dev/full").write_text("a write knows no name")
    assert refused.value.filename == str(path)


def test_what_a_killed_writer_left_of_a_file_is_gone_before_the_next_begins(tmp_path: Path) -> None:
    (tmp_path / "report.json.part").write_text("stale")
    with whole_file(tmp_path / "report.json") as unfinished:
        assert not unfinished.exists()
        unfinished.write_text("fresh")
    assert names(tmp_path) == ["report.json"]


def test_a_durable_file_is_on_the_disk_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "day.parquet"
    flushed: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append(path.exists()))
    with whole_file(path, durable=True) as unfinished:
        unfinished.write_text("rows")
    assert flushed == [False]
    assert path.exists()


def test_two_processes_that_share_a_file_do_not_write_into_each_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pointer.json"
    with whole_file(path, shared=True) as ours:
        ours.write_text("ours")
        monkeypatch.setattr(os, "getpid", lambda: 1)
        write_whole(path, b"theirs", shared=True)
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours"


def test_a_scratch_folder_is_empty_at_first_and_gone_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "wheel.part"
    folder.mkdir()
    (folder / "stale").write_text("stale")
    with scratch_folder(folder):
        assert names(folder) == []
        (folder / "fresh").write_text("fresh")
    assert not folder.exists()


def test_what_was_written_takes_the_folders_place(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "raw"
    with whole_folder(target) as folder:
        (folder / "a").write_text("new")
        assert not target.exists()
    assert names(target) == ["a"]


def test_the_old_content_goes_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "raw"
    target.mkdir()
    (target / "old").write_text("old")
    with whole_folder(target) as folder:
        (folder / "new").write_text("new")
    assert names(target) == ["new"]


def write_half_a_folder(target: Path, trouble: BaseException) -> None:
    with whole_folder(target) as folder:
        (folder / "half").write_text("hal")
        raise trouble


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_leaves_the_old_content_and_nothing_unfinished(tmp_path: Path, trouble: BaseException) -> None:
    target = tmp_path / "raw"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(type(trouble)):
        write_half_a_folder(target, trouble)
    assert names(tmp_path) == ["raw"]
    assert (target / "old").read_text() == "old"


def test_what_a_killed_run_left_is_not_mixed_in(tmp_path: Path) -> None:
    leftover = tmp_path / "raw.part"
    leftover.mkdir()
    (leftover / "stale").write_text("stale")
    with whole_folder(tmp_path / "raw") as folder:
        (folder / "fresh").write_text("fresh")
    assert names(tmp_path / "raw") == ["fresh"]


def fill(folder: Path, writer: str) -> None:
    folder.mkdir()
    (folder / "written by").write_text(writer)
    (folder / "manifest.json").write_text("{}")


def test_a_folder_named_by_its_content_is_there_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "bundles" / "r-1"
    with content_folder(target, last="manifest.json") as folder:
        fill(folder, "us")
        assert not target.exists()
    assert names(target) == ["manifest.json", "written by"]
    assert names(target.parent) == ["r-1"]


def test_a_folder_that_another_process_finished_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "r-1"
    with content_folder(target, last="manifest.json") as folder:
        fill(folder, "us")
        fill(target, "them")
    assert (target / "written by").read_text() == "them"
    assert names(tmp_path) == ["r-1"]


def test_a_folder_that_a_killed_writer_left_makes_way(tmp_path: Path) -> None:
    target = tmp_path / "r-1"
    target.mkdir()
    (target / "stale").write_text("stale")
    with content_folder(target, last="manifest.json") as folder:
        fill(folder, "us")
    assert names(target) == ["manifest.json", "written by"]


def test_of_two_writers_that_find_a_leftover_neither_removes_what_the_other_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "r-1"
    target.mkdir()
    (target / "stale").write_text("stale")
    rename, n_renames = Path.rename, 0

    def rename_after_them(path: Path, to: Path) -> Path:
        nonlocal n_renames
        n_renames += 1
        if n_renames == 1:
            with pytest.raises(OSError, match="not empty"):
                rename(path, to)
            rename(target, tmp_path / "their leftover")
            fill(target, "them")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", rename_after_them)
    with content_folder(target, last="manifest.json") as folder:
        fill(folder, "us")
    assert (target / "written by").read_text() == "them"


def test_a_kill_between_the_two_renames_keeps_the_old_folder_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "raw"
    target.mkdir()
    (target / "old").write_text("old")
    seen: list[str] = []
    rename = Path.rename

    def rename_and_look(path: Path, to: Path) -> Path:
        renamed = rename(path, to)
        seen.append(", ".join(sorted(one.name for one in tmp_path.rglob("*") if one.is_file())))
        return renamed

    monkeypatch.setattr(Path, "rename", rename_and_look)
    with whole_folder(target) as folder:
        (folder / "new").write_text("new")
    assert seen == ["new, old", "new, old"]
    assert names(tmp_path) == ["raw"]


def test_what_a_killed_writer_left_of_a_shared_file_goes_and_that_of_a_live_one_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f"live.json.{dead.pid}.part").write_text("of a version before")
    (tmp_path / f"live.json.{dead.pid}-7.part").write_text("stale")
    (tmp_path / f"live.json.{os.getppid()}-7.part").write_text("under way")
    write_whole(tmp_path / "live.json", b"whole", shared=True)
    assert names(tmp_path) == ["live.json", f"live.json.{os.getppid()}-7.part"]
