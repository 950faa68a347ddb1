"""What one test does to a folder that is restored, the next does not find."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.restored_folder import restore


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "template"
    (folder / "bundles" / "r-1").mkdir(parents=True)
    (folder / "bundles" / "r-1" / "rules.json").write_text("{1}")
    (folder / "bundles" / "empty").mkdir()
    (folder / "artifacts").mkdir()
    (folder / "artifacts" / "large").write_text("...")
    with opened(folder / "versions.db") as database:
        database.execute("CREATE TABLE versions (number)")
        database.execute("INSERT INTO versions VALUES (1)")
    return folder


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as database:
        yield database
        database.commit()


def content(folder: Path) -> dict[str, str | None]:
    """Every file and folder below one; a folder has no text."""
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
        if path.suffix != ".db"
    }


def add_files(folder: Path) -> None:
    (folder / "journal.db").touch()
    (folder / "bundles" / "r-2").mkdir()
    (folder / "bundles" / "r-2" / "rules.json").touch()
    (folder / "bundles" / "there").symlink_to(folder / "bundles" / "r-1")


def write_as_much_over(folder: Path) -> None:
    (folder / "bundles" / "r-1" / "rules.json").write_text("{2}")


def write_more_at_the_same_moment(folder: Path) -> None:
    rules = folder / "bundles" / "r-1" / "rules.json"
    moment = rules.stat().st_mtime_ns
    rules.write_text("{1, 2}")
    os.utime(rules, ns=(moment, moment))


def put_a_file_for_a_folder(folder: Path) -> None:
    shutil.rmtree(folder / "bundles" / "r-1")
    (folder / "bundles" / "r-1").touch()


def put_a_link_for_a_folder(folder: Path) -> None:
    (folder / "bundles" / "empty").rmdir()
    (folder / "bundles" / "empty").symlink_to(folder / "bundles" / "r-1")


CHANGES = [
    add_files,
    write_as_much_over,
    write_more_at_the_same_moment,
    put_a_file_for_a_folder,
    put_a_link_for_a_folder,
    lambda folder: shutil.rmtree(folder / "bundles"),
    lambda folder: (folder / "versions.db").unlink(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_was_done_to_it_a_folder_is_as_its_template_again(
    template: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    before = content(template)
    folder = tmp_path / "folder"
    restore(template, folder)
    change(folder)
    restore(template, folder)
    assert content(folder) == content(template) == before
    assert sorted(path.name for path in folder.iterdir()) == ["artifacts", "bundles", "versions.db"]


def test_what_is_left_out_is_not_there(template: Path, tmp_path: Path) -> None:
    restore(template, tmp_path / "folder", leave_out={"artifacts"})
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["bundles", "versions.db"]


def test_who_has_a_database_open_reads_in_it_what_the_template_holds(template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    restore(template, folder)
    with opened(folder / "versions.db") as database:
        database.execute("INSERT INTO versions VALUES (2)")
        database.commit()
        restore(template, folder)
        assert database.execute("SELECT number FROM versions").fetchall() == [(1,)]
