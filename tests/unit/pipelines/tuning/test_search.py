"""The search against a made-up truth: no model is fitted, the study and its file are real."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.errors import DataTooSmall
from contracts.settings.settings import Settings
from pipelines.rolling.judgement import Windows
from pipelines.rolling.kept_fits import KeptFits
from pipelines.tuning.search import MOST_FAILURES, Search, comparable_with
from pipelines.tuning.search_space import SearchSpace
from pipelines.tuning.study import TriedOverrides, TuningStudy
from recommender.split import TimeSplit
from release.evaluation.cases import COLD_POPULAR, WARM

PARAMS = (Path(__file__).resolve().parents[4] / "params.yaml").read_bytes()
NOW = datetime(2020, 1, 1, tzinfo=UTC)
SPLIT = TimeSplit(NOW, NOW, NOW, {"test": (), "all": ()})


@dataclass
class MadeUpFitter:
    """The best n_leaves is 31; a fit takes ten seconds of its clock."""

    windows: Windows = field(default_factory=lambda: Windows((SPLIT,) * 3, (1, 2, 3)))
    kept: KeptFits = field(default_factory=KeptFits.nothing)
    fit_s: float = 10.0
    clock_s: float = 0.0
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    refuses: bool = False

    def per_person(self, settings: Settings, number: int, seed: int) -> pl.DataFrame:
        self.clock_s += self.fit_s
        self.asked.append((settings.ranking.n_leaves, number, seed))
        if self.refuses:
            raise DataTooSmall("Nobody is here.", "Bring more data.")
        value = 1 - abs(settings.ranking.n_leaves - 31) / 100
        return pl.DataFrame(
            {
                "group": [WARM, WARM, COLD_POPULAR, WARM],
                "system": ["slates", "slates", "slates", "als"],
                "ndcg_at_10": [value - 0.1, value + 0.1, 9.0, 9.0],
            }
        )


class Kept:
    """A log that remembers the numbers."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def log(self, tried: TriedOverrides) -> None:
        self.numbers.append(tried.number)


def search_of(fitter: Any, folder: Path, settings: Settings) -> Search:
    space = SearchSpace.of(settings, ["ranking.n_leaves"])
    study = TuningStudy(folder / "study.db", "movies-1", space, 7)
    return Search(study, PARAMS, fitter, "ndcg_at_10", 7, lambda: fitter.clock_s, lambda _: None, guess_s=30)


@pytest.fixture(scope="module")
def settings() -> Settings:
    from contracts.settings.settings import load_settings

    return load_settings(Path(__file__).resolve().parents[4] / "params.yaml")


def test_it_goes_towards_what_is_better_within_the_time_and_gives_up_early(tmp_path: Path, settings: Settings) -> None:
    fitter, log, lines = MadeUpFitter(), Kept(), list[str]()
    search = search_of(fitter, tmp_path, settings)
    search.until(300, log, lines.append)
    tried = search.study.tried()
    assert fitter.clock_s <= 300
    assert [one.number for one in tried] == log.numbers
    assert tried[0].value == pytest.approx(1 - abs(settings.ranking.n_leaves - 31) / 100)
    best = search.study.best(1)[0]
    assert best.value is not None
    assert best.value > (tried[0].value or 0)
    pruned = [one for one in tried if one.state == "PRUNED"]
    assert pruned
    assert {len(one.by_window) for one in pruned} <= {1, 2}
    assert {(number, seed) for _, number, seed in fitter.asked} == {(1, 7), (2, 7), (3, 7)}
    assert len(lines) == len(tried)
    assert f"best {best.value:.4f} (trial {best.number})" in lines[-1]
    assert lines[0].endswith("4 min left, about 9 more")


def test_a_trial_that_was_measured_before_tells_nothing_of_the_time_that_the_next_takes(
    tmp_path: Path, settings: Settings
) -> None:
    fitter = MadeUpFitter(fit_s=0.1)
    search, lines = search_of(fitter, tmp_path, settings), list[str]()
    search.guess_s = 0.0
    search.until(0.5, Kept(), lines.append)
    assert search.usual_seconds == 0
    assert lines[0].endswith("0 min left")


def test_without_time_a_new_study_tries_the_parameters_as_they_are_and_another_nothing(
    tmp_path: Path, settings: Settings
) -> None:
    fitter = MadeUpFitter()
    search_of(fitter, tmp_path, settings).until(0, Kept(), lambda _: None)
    assert [leaves for leaves, _, _ in fitter.asked] == [settings.ranking.n_leaves] * 3
    search_of(fitter, tmp_path, settings).until(0, Kept(), lambda _: None)
    assert len(fitter.asked) == 3


def test_what_fails_again_and_again_ends_the_search_and_is_told(tmp_path: Path, settings: Settings) -> None:
    search, lines = search_of(MadeUpFitter(refuses=True), tmp_path, settings), list[str]()
    with pytest.raises(DataTooSmall, match="Nobody is here"):
        search.until(10_000, Kept(), lines.append)
    assert [one.state for one in search.study.tried()] == ["FAIL"] * MOST_FAILURES
    assert "failed: DataTooSmall: Nobody is here." in lines[0]


def test_values_are_comparable_whatever_is_searched_and_with_nothing_else_changed(settings: Settings) -> None:
    fitter: Any = MadeUpFitter()
    other_leaves = settings.model_copy(update={"ranking": settings.ranking.model_copy(update={"n_leaves": 8})})
    of = comparable_with(settings, ["ranking.n_leaves"], fitter, 7)
    assert of == comparable_with(other_leaves, ["ranking.n_leaves"], fitter, 7)
    assert of != comparable_with(other_leaves, ["ranking.n_trees"], fitter, 7)
    assert of != comparable_with(settings, ["ranking.n_leaves"], fitter, 8)
    fitter.kept = KeptFits(None, "77c0de")
    assert of != comparable_with(settings, ["ranking.n_leaves"], fitter, 7)
