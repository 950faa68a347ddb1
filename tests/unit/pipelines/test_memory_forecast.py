"""A stage that would not fit into memory is refused before it begins, with both numbers."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from contracts.errors import WorkspaceError
from contracts.settings.candidates import SequenceSettings, TwoTowerSettings
from pipelines import memory_forecast
from pipelines.memory_forecast import GIB, NEEDS, DataSize, Need, check_memory, engine_gib, machine_gib
from pipelines.paths import VALID
from tests.worlds import small_world

CHECKOUT = Path(__file__).resolve().parents[3]
SMALL = NEEDS["ranking"].base_gib + 0.01


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_world(n_events=200).save(VALID)
    give("null")


def give(memory_gib: str) -> None:
    Path("params.yaml").write_text(f"resources:\n  memory_gib: {memory_gib}\n")


def test_a_need_grows_with_interactions_items_and_queries():
    size = DataSize(n_interactions=2 * GIB, n_items=GIB, n_queries=3 * GIB)
    assert Need(0.5, bytes_an_interaction=3, bytes_an_item=5, bytes_a_query=7).gib(size) == 0.5 + 3 * 2 + 5 * 1 + 7 * 3


def test_a_stage_that_needs_more_than_it_may_take_is_refused_with_both_numbers(monkeypatch):
    give(str(SMALL))
    check_memory("ranking")
    monkeypatch.setitem(NEEDS, "ranking", Need(0.5, 2**30, 0))
    refused = r"ranking needs about \d+\.5 GiB for \d+ interactions of 40 items; "
    with pytest.raises(WorkspaceError, match=refused) as told:
        check_memory("ranking")
    assert f"resources.memory_gib is {SMALL:.1f}." in str(told.value)
    assert "ranking.max_queries" in str(told.value)


@pytest.mark.parametrize(("max_queries", "expected"), [(4000, "174.5"), (100, "100.5")])
def test_the_ranker_learns_from_max_queries_or_from_as_many_as_there_can_be(max_queries, expected, monkeypatch):
    monkeypatch.setitem(NEEDS, "ranking", Need(0.5, 0, 0, bytes_a_query=GIB))
    monkeypatch.setattr(memory_forecast, "EVENTS_A_QUERY", 1)
    params = (CHECKOUT / "params.yaml").read_text().replace("memory_gib: null", "memory_gib: 1")
    Path("params.yaml").write_text(params.replace("max_queries: 4000", f"max_queries: {max_queries}"))
    with pytest.raises(WorkspaceError, match=f"needs about {expected} GiB for 174 interactions"):
        check_memory("ranking")


def test_judging_holds_in_one_process_what_the_features_and_the_ranker_hold():
    size = DataSize(n_interactions=1_000_000, n_items=10_000, n_queries=4000)
    assert NEEDS["judge"].gib(size) >= NEEDS["features"].gib(size) + NEEDS["ranking"].gib(size)


def test_without_a_limit_it_is_what_the_machine_has(monkeypatch):
    monkeypatch.setattr(memory_forecast, "machine_gib", lambda: 0.25)
    with pytest.raises(WorkspaceError, match=r"; the machine has 0\.2\."):
        check_memory("features")
    Path("params.yaml").write_text("seed: 7\n")  # of before there was the group
    with pytest.raises(WorkspaceError, match="the machine has"):
        check_memory("features")


def test_the_engine_of_features_takes_a_share_of_what_there_is():
    give("8")
    assert engine_gib() == 2
    Path("params.yaml").unlink()
    assert engine_gib() == machine_gib() / 4


def test_a_container_has_what_it_is_given(tmp_path, monkeypatch):
    limits = tmp_path / "memory.max"
    monkeypatch.setattr(memory_forecast, "CGROUP_LIMITS", (limits, tmp_path / "of another kind"))
    whole = machine_gib()
    limits.write_text("max\n")
    assert machine_gib() == whole
    limits.write_text(f"{GIB // 2}\n")
    assert machine_gib() == 0.5


def test_stages_that_stream_and_stages_without_tables_are_not_forecast(monkeypatch, tmp_path):
    monkeypatch.setattr(memory_forecast, "machine_gib", lambda: 0.0)
    check_memory("validate")
    monkeypatch.chdir(tmp_path / "data")
    check_memory("ranking")


@pytest.mark.parametrize(("ease", "expected"), [("null", None), ("{}", r"candidates needs about 1\.\d GiB")])
def test_ease_is_forecast_by_the_pairs_of_items_where_it_is_fitted(ease, expected, monkeypatch):
    monkeypatch.setattr(memory_forecast, "EASE_BYTES_A_PAIR", GIB / 40**2)  # of the 40 items: 1 GiB
    params = (CHECKOUT / "params.yaml").read_text().replace("memory_gib: null", "memory_gib: 1")
    Path("params.yaml").write_text(params.replace("ease: null", f"ease: {ease}"))
    if expected is None:
        check_memory("candidates")
        return
    with pytest.raises(WorkspaceError, match=expected) as told:
        check_memory("candidates")
    assert "resources.memory_gib is 1.0." in str(told.value)
    assert "set candidates.ease.n_regressors (100, say), or candidates.ease to null (candidates.graph" in str(
        told.value
    )


@pytest.mark.parametrize(("n_items", "expected"), [(1, 1), (10**6, 4 * 4 + 2 * 2 + 1)])
def test_ease_among_few_is_forecast_by_the_pairs_that_somebody_touched_both_of(n_items, expected, monkeypatch):
    monkeypatch.setattr(memory_forecast, "EASE_BYTES_A_TOUCHED_PAIR", GIB)
    world = small_world(n_events=200)
    people = pl.Series("user_id", list("aaaabbc"))
    world.interactions.head(7).with_columns(people).write_parquet(VALID / "interactions.parquet")
    params = (CHECKOUT / "params.yaml").read_text().replace("memory_gib: null", "memory_gib: 1")
    Path("params.yaml").write_text(params.replace("ease: null", "ease: {n_regressors: 100}"))
    assert memory_forecast._ease_gib("candidates", DataSize(7, n_items)) == expected
    with pytest.raises(WorkspaceError) as told:
        check_memory("candidates")
    assert ", set candidates.ease to null (candidates.graph_filter takes far less), " in str(told.value)
    assert "n_regressors" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "given", "n_numbers"), [("sequence", "dim: 9", 9 + 1), ("two_tower", "dim: 4, width: 1", 2 * 4 + 1)]
)
def test_training_a_deep_model_is_forecast_with_what_to_lower(name, given, n_numbers, monkeypatch):
    monkeypatch.setattr(memory_forecast, "DEEP_BYTES_A_NUMBER", GIB)
    params = (CHECKOUT / "params.yaml").read_text().replace("memory_gib: null", "memory_gib: 1")
    Path("params.yaml").write_text(params.replace(f"{name}: null", f"{name}: {{{given}}}"))
    with pytest.raises(WorkspaceError, match=rf"needs about {40 * n_numbers + 1}\.\d GiB") as told:  # of 40 items
        check_memory("candidates")
    lowered = {
        "sequence": ".dim, .length, .batch_size or .n_negatives",
        "two_tower": ".dim, .width, .length or .batch_size",
    }
    assert f", lower candidates.{name}{lowered[name]}, " in str(told.value)
    Path("params.yaml").write_text(params)
    check_memory("candidates")


def test_tensorflow_takes_more_than_pytorch():
    params = (CHECKOUT / "params.yaml").read_text().replace("memory_gib: null", "memory_gib: 1.3")
    Path("params.yaml").write_text(params.replace("two_tower: null", "two_tower: {engine: torch}"))
    check_memory("candidates")
    Path("params.yaml").write_text(params.replace("two_tower: null", "two_tower: {engine: tfrs}"))
    with pytest.raises(WorkspaceError, match=r"needs about 1\.\d GiB"):
        check_memory("candidates")


def test_of_two_deep_models_the_larger_one_is_forecast(monkeypatch):
    monkeypatch.setattr(memory_forecast, "DEEP_BYTES_A_NUMBER", GIB)
    params = (CHECKOUT / "params.yaml").read_text().replace("memory_gib: null", "memory_gib: 1")
    both = params.replace("sequence: null", "sequence: {dim: 30}").replace("two_tower: null", "two_tower: {dim: 4}")
    Path("params.yaml").write_text(both)
    with pytest.raises(WorkspaceError, match=rf"needs about {40 * 31 + 1}\.\d GiB") as told:
        check_memory("candidates")
    assert "lower candidates.sequence.dim" in str(told.value)


@pytest.mark.parametrize("name", ["sequence", "two_tower"])
def test_each_number_that_is_named_lowers_the_forecast(name):
    def forecast(**given: int) -> float:
        values = ", ".join(f"{key}: {value}" for key, value in given.items())
        params = (CHECKOUT / "params.yaml").read_text()
        Path("params.yaml").write_text(params.replace(f"{name}: null", f"{name}: {{{values}}}"))
        return memory_forecast._deep_gib("candidates", DataSize(10**4, 10**4))[name]

    numbers = [key for key, value in memory_forecast.DEEP_DEFAULTS[name].items() if isinstance(value, int)]
    assert all(forecast(**{key: 4}) < forecast() for key in numbers)


@pytest.mark.parametrize(("name", "settings"), [("sequence", SequenceSettings), ("two_tower", TwoTowerSettings)])
def test_the_forecast_knows_the_defaults_of_deep_models(name, settings):
    shipped, written = settings().model_dump(), memory_forecast.DEEP_DEFAULTS[name]
    assert {key: shipped[key] for key in written} == written


@pytest.mark.parametrize(
    ("shipped", "given", "expected"),
    [
        ("    factors: 32", "    factors: 132", 4 * 3 * 100),
        ("    dim: 12", "    dim: 22", 4 * 3 * 10),
        ("    n_neighbours: 100", "    n_neighbours: 150", 8 * 2 * 3 * 50),
        ("  similar_texts: null", "  similar_texts: {n_neighbours: 7}", 8 * 2 * 7),
        ("  item_to_item: {}", "  item_to_item: {ever: {}, days: {decay_days: 5}}", 8 * 2 * 2 * 100),
        ("  graph_filter: null", "  graph_filter: {}", 8 * 2 * 100),
    ],
)
def test_what_is_wider_than_what_is_shipped_is_forecast(shipped, given, expected):
    params = (CHECKOUT / "params.yaml").read_text()
    assert shipped in params
    size = DataSize(10**9, n_items=GIB)
    for text, bytes_an_item in ((params, 0), (params.replace(shipped, given), expected)):
        Path("params.yaml").write_text(text)
        assert memory_forecast._wider_gib("candidates", size) == bytes_an_item
    assert memory_forecast._wider_gib("evaluate", size) == 0
