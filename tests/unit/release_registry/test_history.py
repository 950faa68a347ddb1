"""What the entries of a journal say, read from entries made by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contracts.errors import PromotionRefused
from release.history import last_state, open_intents, rollback_target, served
from release.journal import Action, Entry, Phase
from release.registry_state import RegistryState, Stage

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def journal(*steps: tuple[Action, Phase, str | None]) -> list[Entry]:
    return [
        Entry(action, phase, release_id, id=number, ts=MOMENT, app="movies", previous_hash="")
        for number, (action, phase, release_id) in enumerate(steps, start=1)
    ]


def promoted(*releases: str) -> list[tuple[Action, Phase, str | None]]:
    return [(Action.PROMOTE, Phase.DONE, release) for release in releases]


def went_back(release: str) -> tuple[Action, Phase, str | None]:
    return (Action.ROLLBACK, Phase.DONE, release)


def test_nothing_is_served_before_a_promotion_is_done() -> None:
    assert served(journal((Action.PROMOTE, Phase.INTENT, "a"), (Action.PROMOTE, Phase.FAILED, "a"))) is None


def test_a_rollback_goes_to_the_release_before() -> None:
    entries = journal(*promoted("a", "b", "c"))
    assert served(entries).release_id == "c"
    assert rollback_target(entries).release_id == "b"


def test_two_rollbacks_go_two_releases_back_and_not_to_and_fro() -> None:
    entries = journal(*promoted("a", "b", "c"), went_back("b"))
    assert served(entries).release_id == "b"
    assert rollback_target(entries).release_id == "a"


def test_a_promotion_after_a_rollback_comes_back_to_the_release_rolled_back_to() -> None:
    entries = journal(*promoted("a", "b"), went_back("a"), *promoted("c"))
    assert rollback_target(entries).release_id == "a"


def test_promoting_the_same_release_twice_is_one_step_back() -> None:
    assert rollback_target(journal(*promoted("a", "b", "b"))).release_id == "a"


def test_a_named_release_is_reached_when_it_was_ever_in_production() -> None:
    entries = journal(*promoted("a", "b", "c"), went_back("a"))
    assert rollback_target(entries, "c").release_id == "c"
    with pytest.raises(PromotionRefused, match="never in production; these were: a, b, c"):
        rollback_target(entries, "d")


def test_there_is_nothing_to_go_back_to_from_the_first_release() -> None:
    for entries in (journal(), journal(*promoted("a")), journal(*promoted("a", "b"), went_back("a"))):
        with pytest.raises(PromotionRefused, match="nothing to roll back to"):
            rollback_target(entries)


def test_a_promotion_that_says_late_that_it_was_done_does_not_undo_the_rollback_after_it() -> None:
    begun, ended = (Action.PROMOTE, Phase.INTENT, "b"), (Action.PROMOTE, Phase.DONE, "b")
    back = (Action.ROLLBACK, Phase.INTENT, "a"), went_back("a")
    # The promotion (2) moved the pointer; the rollback noted so (3) and moved it back (4, 5) before 2 had said it (6).
    entries = journal(*promoted("a"), begun, ended, *back, ended)
    intents = {3: 2, 5: 4, 6: 2}
    entries = [Entry(**{**entry.__dict__, "intent_id": intents.get(entry.id)}) for entry in entries]
    assert served(entries).release_id == "a"
    with pytest.raises(PromotionRefused, match="nothing to roll back to"):
        rollback_target(entries)


def test_an_intent_is_open_until_something_names_it() -> None:
    first, second, end = journal(
        (Action.PROMOTE, Phase.INTENT, "a"), (Action.PROMOTE, Phase.INTENT, "b"), (Action.PROMOTE, Phase.DONE, "a")
    )
    end = Entry(**{**end.__dict__, "intent_id": first.id})
    assert open_intents([first, second, end], Action.PROMOTE) == [second]
    assert open_intents([first, second, end], Action.ROLLBACK) == []


def test_the_last_state_is_what_was_seen_or_decided_last() -> None:
    state = RegistryState({1: Stage.PRODUCTION}, {"production": 1})
    seen, other = journal((Action.REGISTRY_WRITE, Phase.INTENT, None), *promoted("a"))
    seen = Entry(**{**seen.__dict__, "figures": {"after": state.to_json()}})
    assert last_state([seen, other]) == state
    assert last_state([other]) is None
