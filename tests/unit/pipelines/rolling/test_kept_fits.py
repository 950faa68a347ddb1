from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from errno import EACCES, ENOSPC
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import ArtefactError
from contracts.fingerprint import fingerprint_file
from contracts.home import Home
from contracts.json_file import load_json, write_json
from contracts.tables import CanonicalTables
from pipelines.paths import VALID
from pipelines.rolling import kept_fits
from pipelines.rolling.kept_fits import FEATURES, FILES, MADE_OF, ROWS, KeptFits, code_of_step
from pipelines.rolling.kept_rows import FILE, load_rows, save_rows
from recommender.ranking.ranker import RankingRows


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeptFits:
    monkeypatch.setattr(kept_fits, "code_of_step", lambda step: f"code of {step}")
    return KeptFits(tmp_path, "3f9a12", 10_000)


def number(kept: KeptFits, read: dict, make: Callable[[], dict], step: str = ROWS) -> dict:
    def load(folder: Path) -> dict:
        return load_json(folder / "number.json", "Make it again.")

    return kept.made(step, read, load, make, lambda value, folder: write_json(value, folder / "number.json"))


def test_what_was_made_of_the_same_is_read_and_says_what_it_was_made_of(kept: KeptFits, tmp_path: Path) -> None:
    assert number(kept, {"seed": 7}, lambda: {"n": 1}) == {"n": 1}
    assert number(kept, {"seed": 7}, lambda: {"n": 2}) == {"n": 1}
    (folder,) = (tmp_path / ROWS).iterdir()
    made_of = json.loads((folder / MADE_OF).read_bytes())
    assert made_of.pop(FILES) == {"number.json": fingerprint_file(folder / "number.json")}
    assert made_of == {"step": ROWS, "data": "3f9a12", "code": "code of rows", "read": {"seed": 7}}


@pytest.mark.parametrize("what", ["read", "step", "data", "code", "nothing is kept"])
def test_what_was_made_of_anything_else_is_made(kept: KeptFits, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    number(kept, {"seed": 7}, lambda: {"n": 1})
    monkeypatch.setattr(kept_fits, "code_of_step", lambda step: "other" if what == "code" else f"code of {step}")
    other = replace(kept, data="77c0de") if what == "data" else kept
    other = KeptFits.nothing() if what == "nothing is kept" else other
    seed, step = 8 if what == "read" else 7, FEATURES if what == "step" else ROWS
    assert number(other, {"seed": seed}, lambda: {"n": 2}, step) == {"n": 2}


@pytest.mark.parametrize("damage", ["{", '{"n": 9}'], ids=["it cannot be read", "it reads as something else"])
def test_what_is_damaged_is_made_again(kept: KeptFits, tmp_path: Path, damage: str) -> None:
    number(kept, {}, lambda: {"n": 1})
    (folder,) = (tmp_path / ROWS).iterdir()
    (folder / "number.json").write_text(damage)
    assert number(kept, {}, lambda: {"n": 2}) == number(kept, {}, lambda: {"n": 3}) == {"n": 2}


def test_what_a_full_disk_cannot_keep_is_used_all_the_same_and_leaves_nothing_behind(
    kept: KeptFits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def save(_value: int, folder: Path) -> None:
        (folder / "rows.npz").write_bytes(b"half of it")
        raise OSError(ENOSPC, "No space left on device")  # as NumPy's writer raises it, without a name

    assert kept.made(ROWS, {}, lambda _folder: 1, lambda: 2, save) == 2
    told = capsys.readouterr().err
    assert f"No space left on device: {tmp_path / ROWS}" in told
    assert all(remedy in told for remedy in ("Free disk space", "SLATE_HOME", "rolling.cache_gib: 0"))
    assert list((tmp_path / ROWS).iterdir()) == []


def test_what_cannot_be_written_for_another_reason_is_an_error(kept: KeptFits) -> None:
    def save(_value: int, _folder: Path) -> None:
        raise PermissionError(EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        kept.made(ROWS, {}, lambda _folder: 1, lambda: 2, save)


def test_what_another_process_removes_meanwhile_is_no_error(kept: KeptFits, tmp_path: Path) -> None:
    (tmp_path / ROWS).mkdir()
    (tmp_path / ROWS / "gone").symlink_to(tmp_path / "nowhere")  # listed, and not there any more when it is looked at
    assert number(kept, {}, lambda: {"n": 1}) == number(kept, {}, lambda: {"n": 2}) == {"n": 1}


def test_a_step_that_fails_leaves_nothing_and_one_that_is_not_saved_neither(kept: KeptFits, tmp_path: Path) -> None:
    def fail() -> dict:
        raise ArtefactError("No.", "Go home.")

    with pytest.raises(ArtefactError):
        number(kept, {}, fail)
    number(kept.saving(frozenset({FEATURES})), {}, lambda: {"n": 1})
    assert not kept.has(ROWS, {})
    assert not list(tmp_path.rglob("*.json"))


def test_past_the_bound_those_used_longest_ago_go(kept: KeptFits) -> None:
    small = replace(kept, most_bytes=8_000)
    for seed, age in ((1, 300), (2, 200), (3, 100)):
        number(small, {"seed": seed}, lambda: {"n": "x" * 2_000})
        os.utime(small._folder_of(ROWS, {"seed": seed}), (1_600_000_000 - age, 1_600_000_000 - age))
    number(small, {"seed": 1}, dict)  # used now
    number(small, {"seed": 4}, lambda: {"n": "x" * 2_000})
    assert [small.has(ROWS, {"seed": seed}) for seed in (1, 2, 3, 4)] == [True, False, True, True]


def test_the_data_are_the_tables_and_a_bound_of_nothing_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: CanonicalTables
) -> None:
    monkeypatch.chdir(tmp_path)
    world.save(VALID)
    before = KeptFits.of(Home(tmp_path), 1)
    replace(world, interactions=world.interactions[:-1]).save(VALID)
    assert KeptFits.of(Home(tmp_path), 1).data != before.data
    assert KeptFits.of(Home(tmp_path), 0).folder is None


def test_the_code_of_a_step_is_what_it_imports_and_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_of_step(FEATURES)
    monkeypatch.setattr(kept_fits, "_version_of", lambda name: "99" if name == "polars" else "1")
    code_of_step.cache_clear()
    assert code_of_step(FEATURES) != before
    code_of_step.cache_clear()


def test_rows_come_back_to_the_bit_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = RankingRows(
        ("score_als", "rank_als"),
        np.array([[0.5, np.nan], [1, 2], [3, 4]], np.float32),
        np.array([0, 1, 1], np.int32),
        np.array([1, 2], np.int32),
        np.array([1, 2], np.int64),
        rng.random(2),
    )
    save_rows(rows, tmp_path)
    found = load_rows(tmp_path)
    assert found.names == rows.names
    for name in ("values", "labels", "group_sizes", "moments", "weights"):
        ours, theirs = getattr(found, name), getattr(rows, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs, equal_nan=True)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:200])
    with pytest.raises(ArtefactError):
        load_rows(tmp_path)


def test_what_was_made_with_a_class_of_the_projects_own_is_made_again_when_its_code_has_changed(
    kept: KeptFits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read, code = {"candidates": {"own": ["shop.trending:Trending"]}}, tmp_path / "shop" / "trending.py"
    code.parent.mkdir()
    code.write_text("HEAD = 2000\n")
    number(kept, read, lambda: {"n": 1})
    assert number(kept, read, lambda: {"n": 2}) == {"n": 1}
    code.write_text("HEAD = 1000\n")
    assert number(kept, read, lambda: {"n": 2}) == {"n": 2}
