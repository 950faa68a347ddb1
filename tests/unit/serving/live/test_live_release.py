"""The release being served follows the pointer, and stays when it cannot."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.clock import ReleaseClock
from contracts.errors import ReleaseMismatch, StoreUnavailable
from contracts.home import Home
from contracts.settings.serving import ServingSettings
from contracts.settings.settings import load_settings
from feature_store.online.pointer import Pointer
from feature_store.online.serving_targets import Canary, ServingTargets, Staged
from serving.live.last_pointer import LastPointer, Remembered
from serving.live.live_release import LiveRelease
from serving.live.release_shelf import LOOKS_BEFORE_RETRY
from serving.live.store_state import NO_RELEASE
from serving.metrics import Metrics
from serving.served import Arm
from tests.unit.serving.fakes import FakeProduction, bare_release

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"
OLD = Pointer("r-old", "g-old", epoch=1)
NEW = Pointer("r-new", "g-new", epoch=2)


@pytest.fixture
def production() -> FakeProduction:
    return FakeProduction(OLD, releases={"r-old": bare_release("r-old"), "r-new": bare_release("r-new")})


@pytest.fixture
def last(home: Home) -> LastPointer:
    return LastPointer(home, "movies")


def follow(
    production: FakeProduction, last: LastPointer, metrics: Metrics | None = None, **settings: Any
) -> LiveRelease:
    settings = {**vars(load_settings(PARAMS).serving), "poll_ms": 10, **settings}
    return LiveRelease(
        production, last, lambda release: ReleaseClock(release.as_of), metrics or Metrics(), ServingSettings(**settings)
    )


def look(live: LiveRelease) -> None:
    """Look, load what that found missing, and look again: what the two threads of a server come to."""
    live.look()
    live.load()
    live.look()


def served(live: LiveRelease) -> tuple[str, str, Pointer, bool, tuple[str, ...]]:
    current = live.current
    assert current is not None
    production = current.production
    return (production.release_id, production.generation_id, current.pointer, production.online, production.missing)


def answering(live: LiveRelease) -> dict[Arm, tuple[str, str]]:
    assert live.current is not None
    return {served.arm: (served.release_id, served.generation_id) for served in live.current}


def metric(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_nothing_is_served_before_the_first_look(production: FakeProduction, last: LastPointer) -> None:
    live = follow(production, last)
    assert live.current is None
    assert "starting" in str(live.problem)


def test_nothing_was_ever_promoted(production: FakeProduction, last: LastPointer) -> None:
    production.now = None
    live = follow(production, last)
    look(live)
    assert live.current is None
    assert live.problem is NO_RELEASE


def test_the_pointers_release_is_served_and_remembered(production: FakeProduction, last: LastPointer) -> None:
    metrics = Metrics()
    live = follow(production, last, metrics)
    look(live)
    assert served(live) == ("r-old", "g-old", OLD, True, ())
    assert live.problem is None
    assert last.read() == Remembered(OLD)
    assert metric(metrics, "slate_release_info", arm="production", release_id="r-old", generation_id="g-old") == 1


def test_a_look_that_finds_the_same_pointer_changes_nothing(production: FakeProduction, last: LastPointer) -> None:
    live = follow(production, last)
    look(live)
    before = live.current
    look(live)
    assert live.current == before
    assert live.current is not None
    assert live.current.production is before.production
    assert production.loaded == ["r-old"]


def test_a_new_pointer_swaps_the_whole_reference(production: FakeProduction, last: LastPointer) -> None:
    metrics = Metrics()
    live = follow(production, last, metrics)
    look(live)
    under_way = live.current
    production.now = NEW
    look(live)
    assert served(live) == ("r-new", "g-new", NEW, True, ())
    assert under_way is not None
    assert (under_way.production.release_id, under_way.production.generation_id) == ("r-old", "g-old")
    assert metric(metrics, "slate_release_info", arm="production", release_id="r-old", generation_id="g-old") == 0
    assert metric(metrics, "slate_pointer_epoch") == 2


def test_fresher_values_of_the_same_release_are_taken_up(production: FakeProduction, last: LastPointer) -> None:
    live = follow(production, last)
    look(live)
    production.now = Pointer("r-old", "g-fresher", epoch=2)
    look(live)
    assert served(live)[:2] == ("r-old", "g-fresher")


@pytest.mark.parametrize("error", [ReleaseMismatch("golden query 3 differs.", "Build it again."), KeyError("factors")])
def test_a_release_that_cannot_be_taken_up_leaves_the_old_one(
    production: FakeProduction, last: LastPointer, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    live = follow(production, last, metrics)
    look(live)
    production.releases["r-new"] = error
    production.now = NEW
    look(live)
    assert served(live) == ("r-old", "g-old", OLD, True, ())
    assert str(error.args[0]) in str(live.problem)
    assert str(error.args[0]) in caplog.text
    assert last.read() == Remembered(OLD)
    assert metric(metrics, "slate_switches_total", outcome="refused") == 1


def test_a_refused_release_is_tried_again_after_a_while_and_taken_up_once_mended(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    look(live)
    del production.releases["r-new"]
    production.now = NEW
    look(live)
    for _ in range(LOOKS_BEFORE_RETRY - 1):
        live.look()
        live.load()
        assert "r-new" in str(live.problem)
    assert production.loaded == ["r-old", "r-new"]
    production.releases["r-new"] = bare_release("r-new")
    look(live)
    assert production.loaded == ["r-old", "r-new", "r-new"]
    assert served(live)[0] == "r-new"
    assert live.problem is None


def test_another_pointer_is_tried_at_once_after_a_refused_one(production: FakeProduction, last: LastPointer) -> None:
    live = follow(production, last)
    look(live)
    production.now = Pointer("r-lost", "g-lost", epoch=2)
    look(live)
    production.now = Pointer("r-new", "g-new", epoch=3)
    look(live)
    assert served(live)[0] == "r-new"


def test_a_store_that_goes_away_leaves_the_release_without_live_values(
    production: FakeProduction, last: LastPointer
) -> None:
    metrics = Metrics()
    live = follow(production, last, metrics)
    look(live)
    production.away = True
    look(live)
    assert served(live) == ("r-old", "g-old", OLD, False, ())
    assert live.current is not None
    current: Any = live.current.production
    with pytest.raises(StoreUnavailable):
        current.reader.read_person("u1", None, now=None)
    with pytest.raises(StoreUnavailable):
        current.reader.read_items(["i1"], now=None)
    assert isinstance(live.problem, StoreUnavailable)
    assert metric(metrics, "slate_online_store_reachable") == 0
    production.away = False
    look(live)
    assert served(live) == ("r-old", "g-old", OLD, True, ())
    assert live.problem is None
    assert production.loaded == ["r-old"]


def test_a_pointer_that_moved_while_the_store_was_away_is_followed(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    look(live)
    production.away = True
    look(live)
    production.away, production.now = False, NEW
    look(live)
    assert served(live) == ("r-new", "g-new", NEW, True, ())


def test_a_start_without_the_store_takes_the_last_pointer_and_says_so(
    production: FakeProduction, last: LastPointer, caplog: pytest.LogCaptureFixture
) -> None:
    last.keep(NEW)
    production.away = True
    live = follow(production, last)
    look(live)
    assert served(live) == ("r-new", "g-new", NEW, False, ())
    assert "WARNING" in caplog.text
    assert "StoreUnavailable" in caplog.text
    production.away = False
    look(live)
    assert served(live) == ("r-old", "g-old", OLD, True, ())


def test_a_start_without_the_store_and_without_a_last_pointer_is_not_ready(
    production: FakeProduction, last: LastPointer
) -> None:
    production.away = True
    live = follow(production, last)
    look(live)
    assert live.current is None
    assert isinstance(live.problem, StoreUnavailable)


def test_a_store_that_was_emptied_keeps_the_release_and_the_answers_say_so(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    look(live)
    production.now = None
    look(live)
    assert served(live) == ("r-old", "g-old", OLD, True, ("pointer",))
    assert "slate sync" in str(live.problem)
    production.now = OLD
    look(live)
    assert served(live) == ("r-old", "g-old", OLD, True, ())


def test_the_thread_goes_on_looking_after_an_error_nobody_expected(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    failed, looked_again = threading.Event(), threading.Event()

    def targets() -> ServingTargets:
        if not failed.is_set():
            failed.set()
            raise ZeroDivisionError
        if live.current is not None:
            looked_again.set()
        return ServingTargets(OLD)

    production.targets = targets  # type: ignore[method-assign]
    live.start()
    assert looked_again.wait(timeout=30)
    live.stop()
    assert served(live)[0] == "r-old"


CANARY = Canary("r-new", "g-new", share=0.5, salt="s", started_ts=1)
TAKEN = next(person for person in map(str, range(100)) if CANARY.takes(person))
NOT_TAKEN = next(person for person in map(str, range(100)) if not CANARY.takes(person))


def arm_of(live: LiveRelease, person: str | None) -> Arm:
    assert live.current is not None
    return live.current.for_person(person).arm


def test_the_people_of_a_canary_get_its_release_and_the_others_and_strangers_do_not(
    production: FakeProduction, last: LastPointer
) -> None:
    production.canary = CANARY
    live = follow(production, last)
    look(live)
    assert answering(live) == {Arm.PRODUCTION: ("r-old", "g-old"), Arm.CANARY: ("r-new", "g-new")}
    assert [arm_of(live, person) for person in (TAKEN, NOT_TAKEN, None)] == [Arm.CANARY, Arm.PRODUCTION, Arm.PRODUCTION]


def test_production_does_not_wait_for_the_release_of_a_canary_to_be_loaded(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    look(live)
    production.canary = CANARY
    live.look()
    assert arm_of(live, TAKEN) is Arm.PRODUCTION
    live.load()
    live.look()
    assert arm_of(live, TAKEN) is Arm.CANARY


def test_another_share_of_the_same_canary_is_only_a_new_rule(production: FakeProduction, last: LastPointer) -> None:
    production.canary = CANARY
    live = follow(production, last)
    look(live)
    before = live.current
    production.canary = replace(CANARY, share=1.0)
    live.look()
    assert arm_of(live, NOT_TAKEN) is Arm.CANARY
    assert before is not None
    assert live.current is not None
    assert live.current.canary is before.canary


def test_a_canary_that_ends_gives_everybody_production_again_at_the_next_look(
    production: FakeProduction, last: LastPointer
) -> None:
    production.canary = CANARY
    live = follow(production, last)
    look(live)
    production.canary = None
    live.look()
    assert arm_of(live, TAKEN) is Arm.PRODUCTION


def test_a_canary_that_is_promoted_is_not_loaded_again(production: FakeProduction, last: LastPointer) -> None:
    production.canary = CANARY
    live = follow(production, last)
    look(live)
    production.now, production.canary = NEW, None
    live.look()
    assert served(live)[0] == "r-new"
    assert production.loaded == ["r-old", "r-new"]


@pytest.mark.parametrize("error", [ReleaseMismatch("golden query 3 differs.", "Build it again."), KeyError("factors")])
@pytest.mark.parametrize("arm", [Arm.CANARY, Arm.STAGING])
def test_a_release_that_cannot_be_loaded_beside_production_disturbs_nobody_is_named_and_tried_again(
    production: FakeProduction, last: LastPointer, arm: Arm, error: Exception
) -> None:
    metrics = Metrics()
    production.releases["r-new"] = error
    if arm is Arm.CANARY:
        production.canary = CANARY
    else:
        production.staged = Staged("r-new", "g-new")
    live = follow(production, last, metrics, staging_header=True)
    look(live)
    assert answering(live) == {Arm.PRODUCTION: ("r-old", "g-old")}
    assert arm_of(live, TAKEN) is Arm.PRODUCTION
    assert live.problem is None
    assert str(error.args[0]) in str(live.state.problems[arm])
    assert (metric(metrics, "slate_problem", arm=arm), metric(metrics, "slate_problem", arm="production")) == (1, 0)
    production.releases["r-new"] = bare_release("r-new")
    for _ in range(LOOKS_BEFORE_RETRY + 1):
        live.look()
    live.load()
    live.look()
    assert answering(live)[arm] == ("r-new", "g-new")
    assert metric(metrics, "slate_problem", arm=arm) == 0


def test_what_stands_in_staging_is_loaded_only_where_it_may_be_asked_for(
    production: FakeProduction, last: LastPointer
) -> None:
    production.staged = Staged("r-new", "g-new")
    closed, open_to_staging = follow(production, last), follow(production, last, staging_header=True)
    look(closed)
    assert production.loaded == ["r-old"]
    look(open_to_staging)
    assert answering(open_to_staging)[Arm.STAGING] == ("r-new", "g-new")
    assert arm_of(open_to_staging, TAKEN) is Arm.PRODUCTION


def test_a_damaged_name_in_staging_or_of_a_canary_does_not_keep_production_from_following(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    look(live)
    production.damaged, production.now = True, NEW
    look(live)
    assert served(live) == ("r-new", "g-new", NEW, True, ())
    assert "no JSON" in str(live.problem)


def test_going_back_to_the_release_before_takes_one_look_and_no_loading(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    look(live)
    production.now = NEW
    look(live)
    production.now = Pointer("r-old", "g-old", epoch=3)
    live.look()
    assert served(live)[:2] == ("r-old", "g-old")
    assert production.loaded == ["r-old", "r-new"]


def test_going_back_does_not_wait_for_a_newer_release_that_is_still_being_loaded(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    look(live)
    loading, may_end = threading.Event(), threading.Event()

    def load(release_id: str) -> Any:
        loading.set()
        assert may_end.wait(timeout=30)
        return bare_release(release_id)

    live._shelf._load = load
    live.start()
    production.now = NEW
    assert loading.wait(timeout=30)
    production.now = Pointer("r-old", "g-fresher", epoch=3)
    while served(live)[1] != "g-fresher":
        pass
    may_end.set()
    live.stop()
    assert served(live)[:2] == ("r-old", "g-fresher")


def test_no_more_releases_stay_in_memory_than_are_named_or_kept(production: FakeProduction, last: LastPointer) -> None:
    for number in range(5):
        production.releases[f"r-{number}"] = bare_release(f"r-{number}")
    live = follow(production, last, kept_releases=2)
    for number in range(5):
        production.now = Pointer(f"r-{number}", "g", epoch=number + 1)
        look(live)
    live.look()
    assert sorted(live._shelf._releases) == ["r-3", "r-4"]
    production.canary = replace(CANARY, release_id="r-0")
    look(live)
    assert sorted(live._shelf._releases) == ["r-0", "r-3", "r-4"]


def test_a_server_started_anew_has_the_release_to_go_back_to_in_memory_too(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    look(live)
    production.now = NEW
    look(live)
    assert last.read() == Remembered(NEW, ("r-old",))
    production.loaded.clear()
    started_anew = follow(production, last)
    look(started_anew)
    assert production.loaded == ["r-new", "r-old"]


def test_a_canary_goes_on_without_live_values_while_the_store_is_away(
    production: FakeProduction, last: LastPointer
) -> None:
    production.canary = CANARY
    live = follow(production, last)
    look(live)
    production.away = True
    live.look()
    assert answering(live)[Arm.CANARY] == ("r-new", "g-new")
    assert live.current is not None
    assert {served.online for served in live.current} == {False}


def test_what_a_release_holds_is_out_of_the_collectors_way(production: FakeProduction, last: LastPointer) -> None:
    gc.unfreeze()
    look(follow(production, last))
    assert gc.get_freeze_count() > 0
