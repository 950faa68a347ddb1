"""What the gates say of real small releases: each differs from the other in one thing, so that the answer is known."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from contracts.clock import FixedClock
from contracts.errors import ReleaseMismatch, StoreUnavailable
from contracts.features import FeatureReader
from contracts.settings.settings import Settings
from feature_store.online.connection import Client, connect
from feature_store.online.keys import histories_key, items_key, users_key
from feature_store.online.packing import HEADER, SEAL
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.readers.online_reader import RedisFeatureReader
from feature_store.values.values import FeatureValues
from release.bundle.bundle import MEASURED, VALIDATION, Release, load_measured
from release.bundle.manifest import VALUES_FOLDER, load_manifest
from release.bundle.open_bundle import OpenBundle
from release.bundle.publication import publish_bundle, publish_release
from release.evaluation.cases import WARM
from release.evaluation.comparison import compare
from release.gates.data_gates import DataGates
from release.gates.gate import GATES, Gate
from release.gates.gates import evaluate_gates
from release.gates.release_candidate import ReleaseCandidate
from release.golden.golden_queries import GoldenQueries
from release.parity.parity_result import FeatureParity, LoggedParity, save_parity
from release.parity.store_parity import NOBODY
from release.registry.registry import GENERATION_TAG, RELEASE_TAG, Version
from release.registry.state import Stage
from tests.promotion_worlds import exclude_only_what_was_bought, record, settings_of_tests, turn_ranker_over, variant
from tests.seals import sealed
from tests.unit.release.made_up_release import AwayReader

pytestmark = pytest.mark.usefixtures("one_timed_round")
POPULAR = {"popular": 0.2, "popular_recent": 0.2}


def offline(bundle: Path) -> Callable[[Release], FeatureReader]:
    """Reads from the bundle itself: a store that says exactly what was built."""
    return lambda release: OfflineFeatureReader(
        FeatureValues.load(bundle / VALUES_FOLDER), release.schemas, release.catalogue.ids
    )


def candidate(bundle: Path, champion: Path | None = None, **changes: Any) -> ReleaseCandidate:
    manifest = load_manifest(bundle)
    tags = {RELEASE_TAG: manifest.release_id, GENERATION_TAG: manifest.generation_id}
    version = Version("movies", 7, Stage.NONE, (), tags, "", "", "")
    opened = None if champion is None else OpenBundle(champion)
    return replace(ReleaseCandidate(version, OpenBundle(bundle), Stage.PRODUCTION, offline(bundle), opened), **changes)


def ask(bundle: Path, champion: Path | None = None, *, accepted: str = "", **promotion: Any) -> dict[str, Gate]:
    """Every gate by its name; promotion: parameters that differ from the checkout's; accepted: why `ndcg` may fail."""
    given = {"ndcg": accepted} if accepted else {}
    gates = evaluate_gates(candidate(bundle, champion, accepted=given), with_promotion(**promotion), ticking())
    return {gate.name: gate for gate in gates}


def with_promotion(**changes: Any) -> Settings:
    settings = settings_of_tests()
    return settings.model_copy(update={"promotion": settings.promotion.model_copy(update=changes)})


def ticking(seconds: float = 0.001) -> Callable[[], float]:
    """A timer by which everything takes equally long."""
    moments = iter(range(1_000_000))
    return lambda: next(moments) * seconds


@pytest.fixture(scope="module")
def same(base_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another release with the same parts."""
    return variant(base_bundle, tmp_path_factory.mktemp("same") / "bundle", note="same")


@pytest.fixture(scope="module")
def worse(base_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release whose measured ranker puts last what it would put first."""
    return variant(base_bundle, tmp_path_factory.mktemp("worse") / "bundle", change=turn_ranker_over)


def test_every_gate_is_asked_for_production_in_the_order_that_is_told(base_bundle: Path) -> None:
    assert tuple(ask(base_bundle)) == GATES


def test_for_staging_it_is_only_asked_whether_the_release_is_sound(base_bundle: Path) -> None:
    gates = evaluate_gates(candidate(base_bundle, stage=Stage.STAGING), settings_of_tests(), ticking())
    assert [gate.name for gate in gates] == list(GATES[: GATES.index("source")])


def test_a_release_as_good_as_the_champion_differs_by_exactly_nothing(same: Path, base_bundle: Path) -> None:
    gates = ask(same, base_bundle)
    assert all(gate.passed for gate in gates.values())
    ndcg = gates["ndcg"]
    assert (ndcg.low, ndcg.value, ndcg.high) == (0, 0, 0)
    assert ndcg.threshold == -settings_of_tests().promotion.max_ndcg_loss
    assert gates["diversity"].value == pytest.approx(gates["diversity"].threshold / 0.9)  # a tenth may be lost


def test_superiority_asks_for_more_than_being_as_good(same: Path, base_bundle: Path) -> None:
    gate = ask(same, base_bundle, rule="superiority")["ndcg"]
    assert (gate.passed, gate.low, gate.threshold) == (False, 0, 0)


def test_a_spoilt_ranker_is_refused_with_an_interval_below_zero(worse: Path, base_bundle: Path) -> None:
    gate = ask(worse, base_bundle)["ndcg"]
    assert not gate.passed
    assert gate.low <= gate.value <= gate.high < 0
    assert ask(base_bundle, worse, rule="superiority")["ndcg"].passed


def test_both_are_asked_about_the_same_people(worse: Path, base_bundle: Path) -> None:
    found = compare(OpenBundle(worse), OpenBundle(base_bundle))
    people = [one.per_person["user_id"].to_list() for one in (found.challenger, found.champion)]
    assert people[0] == people[1]
    recorded = pl.read_parquet(base_bundle / MEASURED / "per_user.parquet")
    slates = recorded.filter((pl.col("system") == "slates") & (pl.col("group") == WARM)).sort("user_id")
    assert found.values(WARM, "ndcg")[1] == pytest.approx(slates["ndcg_at_10"].to_numpy())


def test_a_champion_that_excludes_differently_is_asked_for_what_both_may_show(
    base_bundle: Path, tmp_path: Path
) -> None:
    lax = variant(base_bundle, tmp_path / "lax", change=exclude_only_what_was_bought)
    gains, others = compare(OpenBundle(lax), OpenBundle(base_bundle)), compare(OpenBundle(base_bundle), OpenBundle(lax))
    for group in gains.groups():
        assert [values.tolist() for values in gains.values(group, "ndcg")] == [
            values.tolist() for values in reversed(others.values(group, "ndcg"))
        ]
    gate = ask(lax, base_bundle)["ndcg"]
    assert (gate.passed, gate.acceptable) == (False, True)
    assert "this release: excluding_events [purchase], excluded_days null; " in gate.sentence
    assert "the release in production: excluding_events null, excluded_days null" in gate.sentence
    assert "--accept ndcg=REASON" in gate.why
    taken = ask(lax, base_bundle, accepted="milk is bought again")["ndcg"]
    assert (taken.verdict, taken.accepted) == ("passed", "milk is bought again")
    assert "exclude differently" in ask(base_bundle, lax)["ndcg"].sentence


def test_a_champion_that_saw_some_of_the_window_cannot_be_compared(base_bundle: Path, tmp_path: Path) -> None:
    later = variant(base_bundle, tmp_path / "later", spoilt=("measured/window.json", '"2020-', '"2021-'))
    gates = ask(base_bundle, later)
    assert not gates["ndcg"].passed
    assert "Not comparable: The test window starts at 2020-" in gates["ndcg"].sentence
    assert "learnt from events until 2021-" in gates["ndcg"].sentence
    assert "--accept ndcg=REASON" in gates["ndcg"].why
    assert gates["novelty"].sentence == "Not judged: the two releases are not comparable."
    accepted = ask(base_bundle, later, accepted="both cards were read")["ndcg"]
    assert accepted.passed
    assert accepted.sentence.endswith("Accepted: both cards were read")


def test_a_bundle_of_before_there_were_test_cases_can_be_champion_but_no_challenger(
    base_bundle: Path, tmp_path: Path
) -> None:
    def as_before(folder: Path) -> None:
        for name in ("cases.parquet", "popularity.parquet"):
            (folder / MEASURED / name).unlink()

    old = variant(base_bundle, tmp_path / "old", change=as_before, format_version=1)
    assert ask(base_bundle, old)["ndcg"].value == 0
    refused = ask(old, base_bundle)["ndcg"]
    assert not refused.passed
    assert "format version 1 and carries no test cases" in refused.sentence
    assert ask(old)["floor"].value == ask(base_bundle)["floor"].value


def test_a_champion_that_reads_other_features_cannot_be_compared(base_bundle: Path, tmp_path: Path) -> None:
    def forget(folder: Path) -> None:
        values = FeatureValues.load(folder / MEASURED / "values")
        first = values.users.columns[1]
        replace(values, users=values.users.drop(first)).save(folder / MEASURED / "values")

    gate = ask(variant(base_bundle, tmp_path / "other", change=forget), base_bundle)["ndcg"]
    assert not gate.passed
    assert "The release reads the user features user_" in gate.sentence


def test_of_too_few_newcomers_nobody_is_judged(same: Path, base_bundle: Path) -> None:
    gate = ask(same, base_bundle)["ndcg_cold_session"]
    assert gate.verdict == "not judged"
    assert gate.sentence.startswith(f"Not judged: {gate.n} visitors")
    assert gate.value is None


def test_with_nothing_in_production_floors_are_asked_and_the_rest_says_so(base_bundle: Path) -> None:
    gates = ask(base_bundle)
    assert gates["floor"].low <= gates["floor"].value <= gates["floor"].high
    assert gates["ndcg"].sentence == "Not judged: nothing is in production to compare with."
    assert not ask(base_bundle, min_ndcg=1.0)["floor"].passed


def test_popular_items_are_no_worse_than_popular_items(base_bundle: Path, tmp_path: Path) -> None:
    alike = variant(base_bundle, tmp_path / "alike", change=lambda bundle: record(bundle, slates=0.2, **POPULAR))
    assert ask(alike)["popular"].passed
    gate = ask(variant(base_bundle, tmp_path / "below", change=lambda one: record(one, slates=0.18, **POPULAR)))[
        "popular"
    ]
    assert not gate.passed
    assert gate.sentence == "NDCG@10 is -0.0200 against popular alone; at least +0.0000 is asked."
    gate = ask(tmp_path / "below", min_gain_over_popular=-0.1, max_ndcg_loss=0.01)["popular"]
    assert not gate.passed
    assert gate.sentence.endswith("the lower end of the 95% interval is -0.0200, and must be above -0.0100.")
    assert ask(tmp_path / "below", min_gain_over_popular=-0.1, max_ndcg_loss=0.05)["popular"].passed


class TestLatency:
    def ask(
        self, bundle: Path, champion: Path | None = None, timer: Callable[[], float] | None = None, **promotion: Any
    ) -> Gate:
        gates = evaluate_gates(candidate(bundle, champion), with_promotion(**promotion), timer or ticking())
        return next(gate for gate in gates if gate.name == "latency")

    def test_a_first_release_is_not_refused_for_a_slow_machine_and_its_figure_is_told(self, base_bundle: Path) -> None:
        gate = self.ask(base_bundle, timer=ticking(7.0))
        assert (gate.verdict, gate.passed, gate.value) == ("not judged", True, pytest.approx(7000))
        assert gate.sentence.startswith("Not judged: nothing is in production to compare with. 99% of 9 answers ")

    def test_a_bound_in_milliseconds_is_kept_where_somebody_set_one(self, base_bundle: Path, same: Path) -> None:
        slow = self.ask(base_bundle, timer=ticking(0.051), max_p99_ms=50.0)
        assert (slow.passed, slow.value, slow.threshold) == (False, pytest.approx(51), 50)
        assert slow.sentence.endswith("took 51.0 ms at most, and 50 ms are allowed.")
        assert not self.ask(same, base_bundle, ticking(0.051), max_p99_ms=50.0).passed
        assert self.ask(base_bundle, max_p99_ms=50.0).verdict == "passed"

    def test_the_release_in_production_is_as_slow_on_a_slow_machine(self, base_bundle: Path, same: Path) -> None:
        gate = self.ask(same, base_bundle, ticking(7.0))
        assert (gate.verdict, gate.value, gate.low, gate.high) == ("passed", 1.0, 1.0, 1.0)

    def test_a_release_that_takes_three_times_as_long_is_refused_with_both_numbers(
        self, base_bundle: Path, same: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        challenger = load_manifest(same).release_id
        clock = {"now": 0.0}
        answer = GoldenQueries.answer

        def answering(queries: GoldenQueries, golden: Any) -> Any:
            clock["now"] += 0.003 if queries.release.release_id == challenger else 0.001
            return answer(queries, golden)

        monkeypatch.setattr(GoldenQueries, "answer", answering)
        gate = self.ask(same, base_bundle, lambda: clock["now"], max_p99_ratio=2.0)
        assert (gate.passed, gate.value, gate.threshold) == (False, pytest.approx(3), 2.0)
        assert gate.sentence.endswith("The lower end of the 95% interval is 3.00, and may be 2.00 at most.")

    def test_a_release_in_production_that_cannot_be_timed_keeps_nobody_out(
        self, base_bundle: Path, same: Path, tmp_path: Path
    ) -> None:
        broken = variant(
            base_bundle, tmp_path / "broken", change=lambda folder: (folder / "ranking/model.txt").unlink()
        )
        gate = self.ask(same, broken)
        assert (gate.verdict, gate.passed) == ("not judged", True)
        assert "the release in production cannot be timed. " in gate.sentence


def test_a_wrong_number_of_golden_queries_is_no_word_on_how_long_they_take(base_bundle: Path, tmp_path: Path) -> None:
    n_queries = load_manifest(base_bundle).golden
    one_more = variant(base_bundle, tmp_path / "one more", golden=n_queries + 1)
    gates = evaluate_gates(candidate(one_more, stage=Stage.STAGING), settings_of_tests(), ticking())
    golden, latency = (next(gate for gate in gates if gate.name == name) for name in ("golden", "latency"))
    assert not golden.passed
    assert f"holds {n_queries} queries, the manifest says {n_queries + 1}" in golden.sentence
    assert (latency.passed, latency.value) == (True, pytest.approx(1))


def test_what_was_measured_is_let_go_once_it_was_compared(
    same: Path, base_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Release]] = []

    def loading(*arguments: Any) -> Release:
        release = load_measured(*arguments)
        loaded.append(weakref.ref(release))
        return release

    monkeypatch.setattr("release.bundle.open_bundle.load_measured", loading)
    bundles = OpenBundle(same), OpenBundle(base_bundle)
    comparison = compare(*bundles)
    gc.collect()
    assert [release() for release in loaded] == [None, None]
    assert len(comparison.values(WARM, "ndcg")[0])


def test_what_was_measured_is_never_published(base_bundle: Path, redis_url: str) -> None:
    measured, moment = load_measured(base_bundle), load_manifest(base_bundle).moment
    with connect(redis_url) as client:
        with pytest.raises(ReleaseMismatch) as refusal:
            publish_release(client, "movies", measured, 1000)
        assert not client.keys()
    assert measured.as_of.isoformat() in refusal.value.problem
    assert moment.isoformat() in refusal.value.problem


class TestParity:
    @pytest.fixture
    def store(self, redis_url: str) -> Iterator[Client]:
        with connect(redis_url) as client:
            yield client

    def ask(self, bundle: Path, store: Client, meddle: Callable[[Client, str], object] = lambda *_: None) -> Gate:
        """The gate, with something done to the store after the values were published."""

        def published(release: Release) -> FeatureReader:
            publish_bundle(store, "movies", bundle, 1000)
            meddle(store, release.generation_id)
            return RedisFeatureReader(store, "movies", release.generation_id, release.schemas, release.catalogue.ids)

        gates = evaluate_gates(candidate(bundle, stage=Stage.STAGING, reader=published), settings_of_tests(), ticking())
        return next(gate for gate in gates if gate.name == "parity")

    def test_what_was_published_is_what_was_built(self, base_bundle: Path, store: Client) -> None:
        gate = self.ask(base_bundle, store)
        assert gate.passed
        assert (gate.value, gate.n) == (0, 61 * 2 + 41)  # 60 people, each row and history, 40 items, and nobody twice

    def test_one_changed_value_is_found_and_its_key_and_feature_are_named(
        self, base_bundle: Path, store: Client
    ) -> None:
        def change(client: Client, generation: str) -> None:
            key = items_key("movies", generation)
            packed = bytearray(client.hget(key, "i1007"))
            packed[-1] ^= 0x40
            client.hset(key, "i1007", sealed(bytes(packed), "i1007"))

        gate = self.ask(base_bundle, store, change)
        last = FeatureValues.load(base_bundle / VALUES_FOLDER).items.columns[-1]
        assert (gate.passed, gate.value) == (False, 1)
        assert f"1 mismatch, 0 missing, 0 extra; none may be. mismatch: {last} of item 'i1007' is " in gate.sentence

    def test_what_is_gone_and_what_nobody_built_are_counted_apart(self, base_bundle: Path, store: Client) -> None:
        def meddle(client: Client, generation: str) -> None:
            client.hdel(histories_key("movies", generation, 0), "u503")
            rows = users_key("movies", generation, 0)  # of everybody: they are fewer than a bucket holds
            client.hset(rows, NOBODY, sealed(client.hget(rows, "u500"), NOBODY))
            client.set(users_key("movies", generation), json.dumps([NOBODY]))  # where the bucket begins

        gate = self.ask(base_bundle, store, meddle)
        assert (gate.passed, gate.value) == (False, 2)
        assert f"0 mismatch, 1 missing, 1 extra; none may be. extra: the row of user '{NOBODY}', from " in gate.sentence

    def test_a_history_whose_events_are_of_other_types_is_a_mismatch(self, base_bundle: Path, store: Client) -> None:
        def meddle(client: Client, generation: str) -> None:
            key, of_type = histories_key("movies", generation, 0), HEADER.size + SEAL.size + 3
            packed = bytearray(client.hget(key, "u503"))
            packed[of_type] ^= 1 << 4
            client.hset(key, "u503", sealed(bytes(packed), "u503"))

        gate = self.ask(base_bundle, store, meddle)
        assert (gate.passed, gate.value) == (False, 1)
        assert "the history of user 'u503' has " in gate.sentence
        assert "offline, and they differ" in gate.sentence

    def test_bytes_that_are_no_row_are_refused(self, base_bundle: Path, store: Client) -> None:
        gate = self.ask(
            base_bundle, store, lambda client, one: client.hset(users_key("movies", one, 0), "u500", b"junk")
        )
        assert not gate.passed
        assert "Something else wrote into the online store" in gate.sentence

    def test_a_store_that_is_away_decides_nothing(self, base_bundle: Path) -> None:
        def away(release: Release) -> FeatureReader:
            return AwayReader(offline(base_bundle)(release))  # type: ignore[arg-type]  # it wraps any reader

        with pytest.raises(StoreUnavailable):
            evaluate_gates(candidate(base_bundle, reader=away), settings_of_tests(), ticking())


def parity_of(bundle: Path, folder: Path, n_requests: int, mismatch: int = 0) -> Path:
    """A folder that keeps what `slate parity` found in so many answers, of 100 values of one feature."""
    feature = FeatureParity("user_age", 100, mismatch, example="user 'u7': 3 online, 4 offline" if mismatch else "")
    found = LoggedParity(load_manifest(bundle).release_id, n_requests, (), (feature,))
    save_parity(folder, found)
    return folder


def logged_parity(bundle: Path, parity: Path | None, **promotion: Any) -> Gate:
    gates = evaluate_gates(candidate(bundle, parity=parity), with_promotion(**promotion), ticking())
    return next(gate for gate in gates if gate.name == "logged_parity")


def test_logged_parity_is_not_asked_for_where_no_answer_is(base_bundle: Path, tmp_path: Path) -> None:
    assert logged_parity(base_bundle, None).verdict == "not judged"
    assert logged_parity(base_bundle, tmp_path / "nowhere").verdict == "not judged"


def test_too_few_answers_computed_again_keep_a_release_out_and_say_what_to_do(
    base_bundle: Path, tmp_path: Path
) -> None:
    folder = parity_of(base_bundle, tmp_path, n_requests=49)
    gate = logged_parity(base_bundle, folder, min_parity_requests=50)
    assert (gate.passed, gate.n) == (False, 49)
    assert "slate parity" in gate.sentence
    assert logged_parity(base_bundle, parity_of(base_bundle, tmp_path, 50), min_parity_requests=50).passed


def test_values_at_fault_keep_a_release_out_naming_the_feature_even_where_none_are_asked(
    base_bundle: Path, tmp_path: Path
) -> None:
    folder = parity_of(base_bundle, tmp_path, n_requests=10, mismatch=2)
    gate = logged_parity(base_bundle, folder)
    assert (gate.passed, gate.value, gate.threshold) == (False, 0.02, 0)
    assert "user_age: user 'u7'" in gate.sentence
    assert logged_parity(base_bundle, folder, max_parity_share=0.02).passed


def test_a_damaged_result_of_parity_is_no_result(base_bundle: Path, tmp_path: Path) -> None:
    folder = parity_of(base_bundle, tmp_path, n_requests=10)
    (folder / f"{load_manifest(base_bundle).release_id}.json").write_text("{}")
    gate = logged_parity(base_bundle, folder)
    assert not gate.passed
    assert "damaged" in gate.sentence


def with_profile(bundle: Path, folder: Path, told: dict[str, Any] | None, note: str) -> Path:
    """Another release whose event types are told by this profile; None: one of before there were profiles."""

    def change(parts: Path) -> None:
        path = parts / VALIDATION
        profile = {} if told is None else {"profile": {"event_type": told}}
        path.write_text(json.dumps({"success": True, "tables": {"interactions": profile}}))

    return variant(bundle, folder / note, change=change, note=note)


def event_types(rating: int, click: int) -> dict[str, Any]:
    return {"kind": "category", "missing": 0, "counts": {"rating": rating, "click": click}, "other": 0}


@pytest.fixture(scope="module")
def profiled(base_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("profiled")
    told = {"even": event_types(500, 500), "moved": event_types(900, 100), "untold": None}
    return {note: with_profile(base_bundle, folder, profile, note) for note, profile in told.items()}


@pytest.mark.parametrize(
    ("challenger", "champion", "accepted", "passed", "words"),
    [
        ("even", "even", "", True, "moved most: 0.000"),
        ("moved", "even", "", False, "Too far: interactions.event_type"),
        ("moved", "even", "Christmas", True, "Accepted: Christmas"),
        ("moved", "untold", "", True, "Not judged: the release in production was built before"),
        ("untold", "even", "", False, "Not comparable"),
        ("untold", "even", "as before", True, "Accepted: as before"),
        ("moved", None, "", True, "nothing is in production"),
    ],
)
def test_data_is_held_against_that_of_the_release_in_production(
    profiled: dict[str, Path], challenger: str, champion: str | None, accepted: str, passed: bool, words: str
) -> None:
    gates = DataGates(settings_of_tests().promotion, None, accepted)
    drift = gates.evaluate(OpenBundle(profiled[challenger]), OpenBundle(profiled[champion]) if champion else None)[1]
    assert (drift.name, drift.passed) == ("drift", passed)
    assert words in drift.sentence


@pytest.mark.parametrize(("days", "passed"), [(0, True), (30, True), (30.01, False)])
def test_data_ages_by_the_wall_where_that_is_the_clock(base_bundle: Path, days: float, passed: bool) -> None:
    clock = FixedClock(load_manifest(base_bundle).moment + timedelta(days=days))
    freshness = DataGates(settings_of_tests().promotion, clock).evaluate(OpenBundle(base_bundle), None)[0]
    assert (freshness.name, freshness.passed) == ("freshness", passed)


def test_history_does_not_age_by_its_own_time(base_bundle: Path) -> None:
    bundle = OpenBundle(base_bundle)
    freshness = DataGates(settings_of_tests().promotion, None).evaluate(bundle, bundle)[0]
    assert (freshness.passed, freshness.value) == (True, 0.0)


@pytest.mark.parametrize(("days", "passed"), [(30, True), (30.01, False)])
def test_by_its_own_time_a_release_of_older_data_than_production_has_aged(
    base_bundle: Path, tmp_path: Path, days: float, passed: bool
) -> None:
    mine = load_manifest(base_bundle)
    replace(mine, as_of=(mine.moment + timedelta(days=days)).isoformat()).save(tmp_path)
    gates, behind, ahead = DataGates(settings_of_tests().promotion, None), OpenBundle(base_bundle), OpenBundle(tmp_path)
    assert gates.evaluate(behind, ahead)[0].passed is passed
    assert gates.evaluate(ahead, behind)[0].value == 0
