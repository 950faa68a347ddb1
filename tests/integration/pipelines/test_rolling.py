"""Windows fitted in memory give what the stages give, and know nothing of what comes after them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.main import command_line
from contracts.settings.settings import Settings
from contracts.tables import CanonicalTables
from pipelines.paths import EVALUATION, VALID
from pipelines.rolling.judgement import AS_THEY_ARE, Comparer, Windows, judge
from pipelines.rolling.kept_fits import GIB, KeptFits
from pipelines.rolling.window_fit import measured_on, window_data
from release.evaluation.cases import WARM
from tests.release_worlds import run_stages, small_settings
from tests.worlds import small_world

CHECKOUT = Path(__file__).parents[3]
SPLITS = {"n_snapshots": 2, "snapshot_step_share": 0.15, "history_length": 50}


@pytest.fixture(scope="module")
def world() -> CanonicalTables:
    return small_world(n_users=24, n_items=20, n_events=1200)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return small_settings(features=SPLITS, rolling={"n_windows": 3, "n_seeds": 1})


def test_the_last_window_is_to_the_last_bit_what_the_stages_measure(
    world: CanonicalTables, settings: Settings, tmp_path: Path, home: Path
) -> None:
    run_stages(tmp_path, world, settings)
    tables = CanonicalTables.load(tmp_path / VALID, impressions=False)
    (split,) = Windows.last(tables, settings).splits
    found = measured_on(settings, window_data(settings, tables, split), settings.seed)
    assert found.per_person.equals(pl.read_parquet(tmp_path / EVALUATION / "per_user.parquet"))


def test_a_window_knows_nothing_of_what_comes_after_it(world: CanonicalTables, settings: Settings) -> None:
    windows = Windows.choosing(world, settings)
    first = windows.splits[0]
    after = world.interactions.filter(pl.col("event_ts") >= first.as_of)
    changed = after.with_columns(pl.col("item_id").reverse(), event_ts=pl.col("event_ts") + timedelta(hours=1))
    before = world.interactions.filter(pl.col("event_ts") < first.as_of)
    other = replace(world, interactions=pl.concat([before, changed]))
    found, again = (
        measured_on(settings, window_data(settings, tables, first), settings.seed) for tables in (world, other)
    )
    assert len(after)
    assert found.per_person.equals(again.per_person)


def test_every_variant_is_judged_on_the_same_people_of_every_window_but_the_last(
    world: CanonicalTables, settings: Settings
) -> None:
    fewer = settings.model_copy(update={"ranking": settings.ranking.model_copy(update={"n_trees": 1})})
    windows = Windows.choosing(world, settings)
    measured = judge({AS_THEY_ARE: settings, "n_trees=1": fewer}, world, windows, [settings.seed, settings.seed + 1])
    assert windows.numbers == (1, 2)
    assert measured["seeds"].unique().to_list() == [2]
    people = measured.group_by("variant", "window", "group", "system").agg(pl.col("user_id").sort())
    ours, theirs = (
        people.filter(pl.col("variant") == name).drop("variant").sort("window", "group", "system")
        for name in (AS_THEY_ARE, "n_trees=1")
    )
    assert ours.equals(theirs)
    gain = Comparer(measured, 100, 7).gain_of("n_trees=1", "ndcg_at_10", WARM)
    own = Comparer(measured, 100, 7).gain_of(AS_THEY_ARE, "ndcg_at_10", WARM)
    assert list(own.by_window) == [0, 0]
    assert list(gain.by_window) != [0, 0]


def never(*_of: object, **_named: object) -> None:
    """Stands for a fit that must not be asked for."""
    raise AssertionError("fitted again")


def never_one(*_of: object, **_named: object) -> Iterator[None]:
    """Stands for fits of which none must be taken."""
    yield never()


@pytest.fixture(scope="module")
def windows(world: CanonicalTables, settings: Settings) -> Windows:
    """One of them."""
    choosing = Windows.choosing(world, settings)
    return Windows(choosing.splits[:1], choosing.numbers[:1])


@pytest.fixture(scope="module")
def kept(
    world: CanonicalTables, settings: Settings, windows: Windows, tmp_path_factory: pytest.TempPathFactory
) -> KeptFits:
    """After one judgement."""
    kept = KeptFits(tmp_path_factory.mktemp("fits"), "3f9a12", GIB)
    judge({AS_THEY_ARE: settings}, world, windows, [settings.seed], kept=kept)
    return kept


class TestWhatIsKept:
    @pytest.mark.parametrize(
        ("group", "changes", "fitted_again"),
        [
            ("ranking", {}, ()),
            ("ranking", {"n_trees": 1}, ("Ranker.fit",)),
            ("request", {"relevance_weight": 0.5}, ()),
            ("request", {"n_ranked": 12}, ("Ranker.fit", "build_ranking_rows")),
        ],
    )
    def test_a_change_is_judged_to_the_bit_as_if_nothing_was_kept_and_fits_only_what_reads_it(
        self,
        world: CanonicalTables,
        settings: Settings,
        windows: Windows,
        kept: KeptFits,
        group: str,
        changes: dict[str, object],
        fitted_again: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        changed = small_settings(
            features=SPLITS, **({group: {**settings.model_dump()[group], **changes}} if changes else {})
        )
        plain = judge({AS_THEY_ARE: changed}, world, windows, [settings.seed])
        monkeypatch.setattr("pipelines.rolling.window_fit.fit_at_each", never_one)
        for fit in {"fit_generators", "_features", "build_ranking_rows", "Ranker.fit"} - {*fitted_again}:
            monkeypatch.setattr(f"pipelines.rolling.window_fit.{fit}", never)
        assert judge({AS_THEY_ARE: changed}, world, windows, [settings.seed], kept=kept).equals(plain)

    def test_other_seeds_data_and_generators_are_fitted_anew(
        self,
        world: CanonicalTables,
        settings: Settings,
        windows: Windows,
        kept: KeptFits,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("pipelines.rolling.window_fit.fit_generators", never)
        candidates = settings.candidates.model_copy(
            update={"popular": settings.candidates.popular.model_copy(update={"recent_days": 21})}
        )
        others = (
            ({AS_THEY_ARE: settings}, [settings.seed + 1], kept),
            ({AS_THEY_ARE: settings}, [settings.seed], replace(kept, data="77c0de")),
            ({AS_THEY_ARE: settings.model_copy(update={"candidates": candidates})}, [settings.seed], kept),
        )
        for variants, seeds, keeping in others:
            with pytest.raises(AssertionError, match="fitted again"):
                judge(variants, world, windows, seeds, kept=keeping)


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def workspace(
        self, world: CanonicalTables, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Path:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SLATE_HOME", str(tmp_path / "home"))
        world.save(VALID)
        with Path("params.yaml").open("w") as file:
            YAML().dump(settings.model_dump(mode="json", by_alias=True), file)
        Path("docs").mkdir()
        shutil.copyfile(CHECKOUT / "docs/last-window.md", "docs/last-window.md")
        return tmp_path

    def run(self, *words: str) -> tuple[int, str, BaseException | None]:
        result = CliRunner().invoke(command_line(["judge"]), ["judge", *words])
        return result.exit_code, result.stdout, result.exception

    def test_it_prints_figures_of_all_windows_but_the_last_and_logs_nothing(self) -> None:
        log = Path("docs/last-window.md").read_text()
        code, printed, error = self.run("--set", "ranking.n_trees=1", "--json")
        assert (code, error) == (0, None)
        figures = json.loads(printed)
        assert list(figures["windows"]) == ["1", "2"]
        assert figures["tried"]["name"] == "ranking.n_trees=1"
        assert set(figures["tried"]["gain"]) >= {WARM}
        assert len(figures["slates"]["ndcg_at_10"]["by_window"]) == 2
        assert Path("docs/last-window.md").read_text() == log

    def test_choosing_on_the_last_window_is_refused_before_anything_is_fitted(self) -> None:
        code, _, error = self.run("--last", "to choose the best", "--set", "ranking.n_trees=1")
        assert code == 1
        assert "chooses nothing" in str(error)

    def test_a_parameter_that_is_not_there_is_refused(self) -> None:
        _, _, error = self.run("--set", "ranking.n_tree=1")
        assert "ranking.n_tree" in str(error)
        _, _, error = self.run("--set", "ranking.n_trees")
        assert "KEY=VALUE" in str(error)
