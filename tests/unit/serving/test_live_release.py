"""The release being served follows the pointer, and stays when it cannot."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from contracts.clock import ReleaseClock
from contracts.errors import ReleaseMismatch, StoreUnavailable
from contracts.home import Home
from feature_store.pointer import Pointer
from serving.last_pointer import LastPointer
from serving.live_release import LOOKS_BEFORE_RETRY, NO_RELEASE, LiveRelease
from serving.metrics import Metrics
from tests.unit.serving.fakes import FakeProduction, bare_release

OLD = Pointer("r-old", "g-old", epoch=1)
NEW = Pointer("r-new", "g-new", epoch=2)


@pytest.fixture
def production() -> FakeProduction:
    return FakeProduction(OLD, releases={"r-old": bare_release("r-old"), "r-new": bare_release("r-new")})


@pytest.fixture
def last(home: Home) -> LastPointer:
    return LastPointer(home, "movies")


def follow(production: FakeProduction, last: LastPointer, metrics: Metrics | None = None) -> LiveRelease:
    return LiveRelease(production, last, lambda release: ReleaseClock(release.as_of), metrics or Metrics(), poll_ms=10)


def served(live: LiveRelease) -> tuple[str, str, Pointer, bool, tuple[str, ...]]:
    current = live.current
    assert current is not None
    return (
        current.release.release_id,
        current.reader.generation_id,
        current.pointer,
        current.online,
        current.missing,
    )


def metric(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_nothing_is_served_before_the_first_look(production: FakeProduction, last: LastPointer) -> None:
    live = follow(production, last)
    assert live.current is None
    assert "starting" in str(live.problem)


def test_nothing_was_ever_promoted(production: FakeProduction, last: LastPointer) -> None:
    production.now = None
    live = follow(production, last)
    live.look()
    assert live.current is None
    assert live.problem is NO_RELEASE


def test_the_pointers_release_is_served_and_remembered(production: FakeProduction, last: LastPointer) -> None:
    metrics = Metrics()
    live = follow(production, last, metrics)
    live.look()
    assert served(live) == ("r-old", "g-old", OLD, True, ())
    assert live.problem is None
    assert last.read() == OLD
    assert metric(metrics, "slate_release_info", release_id="r-old", generation_id="g-old") == 1


def test_a_look_that_finds_the_same_pointer_changes_nothing(production: FakeProduction, last: LastPointer) -> None:
    live = follow(production, last)
    live.look()
    before = live.current
    live.look()
    assert live.current is before
    assert production.loaded == ["r-old"]


def test_a_new_pointer_swaps_the_whole_reference(production: FakeProduction, last: LastPointer) -> None:
    metrics = Metrics()
    live = follow(production, last, metrics)
    live.look()
    under_way = live.current
    production.now = NEW
    live.look()
    assert served(live) == ("r-new", "g-new", NEW, True, ())
    assert under_way is not None
    assert (under_way.release.release_id, under_way.reader.generation_id) == ("r-old", "g-old")
    assert metric(metrics, "slate_release_info", release_id="r-old", generation_id="g-old") is None
    assert metric(metrics, "slate_pointer_epoch") == 2


def test_fresher_values_of_the_same_release_are_taken_up(production: FakeProduction, last: LastPointer) -> None:
    live = follow(production, last)
    live.look()
    production.now = Pointer("r-old", "g-fresher", epoch=2)
    live.look()
    assert served(live)[:2] == ("r-old", "g-fresher")


@pytest.mark.parametrize("error", [ReleaseMismatch("golden query 3 differs.", "Build it again."), KeyError("factors")])
def test_a_release_that_cannot_be_taken_up_leaves_the_old_one(
    production: FakeProduction, last: LastPointer, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    live = follow(production, last, metrics)
    live.look()
    production.releases["r-new"] = error
    production.now = NEW
    live.look()
    assert served(live) == ("r-old", "g-old", OLD, True, ())
    assert str(error.args[0]) in str(live.problem)
    assert str(error.args[0]) in caplog.text
    assert last.read() == OLD
    assert metric(metrics, "slate_switches_total", outcome="refused") == 1


def test_a_refused_release_is_tried_again_after_a_while_and_taken_up_once_mended(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    live.look()
    del production.releases["r-new"]
    production.now = NEW
    for _ in range(LOOKS_BEFORE_RETRY + 1):
        live.look()
        assert "r-new" in str(live.problem)
    assert production.loaded == ["r-old", "r-new"]
    production.releases["r-new"] = bare_release("r-new")
    live.look()
    assert production.loaded == ["r-old", "r-new", "r-new"]
    assert served(live)[0] == "r-new"
    assert live.problem is None


def test_another_pointer_is_tried_at_once_after_a_refused_one(production: FakeProduction, last: LastPointer) -> None:
    live = follow(production, last)
    live.look()
    production.now = Pointer("r-lost", "g-lost", epoch=2)
    live.look()
    production.now = Pointer("r-new", "g-new", epoch=3)
    live.look()
    assert served(live)[0] == "r-new"


def test_a_store_that_goes_away_leaves_the_release_without_live_values(
    production: FakeProduction, last: LastPointer
) -> None:
    metrics = Metrics()
    live = follow(production, last, metrics)
    live.look()
    production.away = True
    live.look()
    assert served(live) == ("r-old", "g-old", OLD, False, ())
    current: Any = live.current
    with pytest.raises(StoreUnavailable):
        current.reader.read_person("u1", None, now=None)
    with pytest.raises(StoreUnavailable):
        current.reader.read_items(["i1"], now=None)
    assert isinstance(live.problem, StoreUnavailable)
    assert metric(metrics, "slate_online_store_reachable") == 0
    production.away = False
    live.look()
    assert served(live) == ("r-old", "g-old", OLD, True, ())
    assert live.problem is None
    assert production.loaded == ["r-old"]


def test_a_pointer_that_moved_while_the_store_was_away_is_followed(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    live.look()
    production.away = True
    live.look()
    production.away, production.now = False, NEW
    live.look()
    assert served(live) == ("r-new", "g-new", NEW, True, ())


def test_a_start_without_the_store_takes_the_last_pointer_and_says_so(
    production: FakeProduction, last: LastPointer, caplog: pytest.LogCaptureFixture
) -> None:
    last.keep(NEW)
    production.away = True
    live = follow(production, last)
    live.look()
    assert served(live) == ("r-new", "g-new", NEW, False, ())
    assert "WARNING" in caplog.text
    assert "StoreUnavailable" in caplog.text
    production.away = False
    live.look()
    assert served(live) == ("r-old", "g-old", OLD, True, ())


def test_a_start_without_the_store_and_without_a_last_pointer_is_not_ready(
    production: FakeProduction, last: LastPointer
) -> None:
    production.away = True
    live = follow(production, last)
    live.look()
    assert live.current is None
    assert isinstance(live.problem, StoreUnavailable)


def test_a_store_that_was_emptied_keeps_the_release_and_the_answers_say_so(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    live.look()
    production.now = None
    live.look()
    assert served(live) == ("r-old", "g-old", OLD, True, ("pointer",))
    assert "slate sync" in str(live.problem)
    production.now = OLD
    live.look()
    assert served(live) == ("r-old", "g-old", OLD, True, ())


def test_the_thread_goes_on_looking_after_an_error_nobody_expected(
    production: FakeProduction, last: LastPointer
) -> None:
    live = follow(production, last)
    failed, looked_again = threading.Event(), threading.Event()

    def pointer() -> Pointer:
        if failed.is_set():
            looked_again.set()
            return OLD
        failed.set()
        raise ZeroDivisionError

    production.pointer = pointer  # type: ignore[method-assign]
    live.start()
    assert looked_again.wait(timeout=30)
    live.stop()
    assert served(live)[0] == "r-old"
