"""Overrides are checked before they are written, and the file of parameters is whole whatever happens."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from contracts.errors import SettingsError
from contracts.settings.settings import load_settings
from pipelines.runs.overrides import check_overrides, write_overrides
from tests.names_of_modules import TOP


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    shutil.copy(TOP / "params.yaml", path)
    os.utime(path, (0, 0))
    return path


@pytest.mark.parametrize("overrides", [{"ranking.n_trees": -1}, {"ranking.n_tree": 5}, {"rankin.n_trees": 5}])
def test_what_is_refused_was_never_in_the_file(params: Path, overrides: dict[str, int]):
    with pytest.raises(SettingsError):
        write_overrides(params, overrides)
    assert params.stat().st_mtime_ns == 0


def test_a_writer_that_dies_halfway_leaves_the_file_as_it_was(params: Path, monkeypatch: pytest.MonkeyPatch):
    before = params.read_bytes()

    def die(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", die)
    with pytest.raises(KeyboardInterrupt):
        write_overrides(params, {"ranking.n_trees": 5})
    assert params.read_bytes() == before


def test_only_what_is_overridden_changes(params: Path):
    before = params.read_text()
    write_overrides(params, {"ranking.n_trees": 5})
    assert load_settings(params).ranking.n_trees == 5
    changed = [
        pair for pair in zip(before.splitlines(), params.read_text().splitlines(), strict=True) if len({*pair}) > 1
    ]
    assert len(changed) == 1


def test_what_is_wrong_without_the_overrides_is_told_as_the_files_fault(params: Path):
    broken = params.read_bytes().replace(b"n_trees:", b"n_treez:")
    with pytest.raises(SettingsError, match=r"params\.yaml: `ranking\.n_treez` is unknown"):
        check_overrides(broken, {"ranking.n_trees": 5})


def test_a_group_that_the_file_leaves_to_its_defaults_is_begun(params: Path):
    given = "  next_visit:\n    step_weight: 0.95\n"
    assert given in params.read_text()
    params.write_text(params.read_text().replace(given, ""))
    write_overrides(params, {"candidates.next_visit.step_weight": 0.5})
    assert load_settings(params).candidates.next_visit.step_weight == 0.5
    with pytest.raises(SettingsError, match=r"names a group that params\.yaml does not have"):
        write_overrides(params, {"candidates.last_visit.step_weight": 0.5})
