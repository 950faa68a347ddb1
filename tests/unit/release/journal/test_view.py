"""What the entries of a journal say, read from entries made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import PromotionRefused
from release.journal.entries import Action, Entry, Phase
from release.journal.standing import Standing
from release.journal.view import JournalView
from release.registry.state import RegistryState, Stage

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
MOVES_OF_PRODUCTION = {Action.PROMOTE, Action.REFRESH, Action.ROLLBACK}


def journal(*steps: tuple[Action, Phase, str | None]) -> list[Entry]:
    return [
        Entry(action, phase, release_id, id=number, ts=MOMENT, app="movies", previous_hash="")
        for number, (action, phase, release_id) in enumerate(steps, start=1)
    ]


def production_of(entries: Iterable[Entry]) -> Entry | None:
    return JournalView.of(entries).production


def rollback_target(entries: Iterable[Entry], to: str | None = None) -> Entry:
    return JournalView.of(entries).rollback_target(to)


def standing_at(entries: Sequence[Entry], moment: datetime) -> Standing:
    """What stood where at a moment, from entries made by hand."""
    later = {entry.intent_id for entry in entries if entry.ts > moment and entry.phase is Phase.DONE}
    return Standing.of(JournalView.of(entry for entry in entries if entry.ts <= moment), moment, later)


def promoted(*releases: str) -> list[tuple[Action, Phase, str | None]]:
    return [(Action.PROMOTE, Phase.DONE, release) for release in releases]


def went_back(release: str) -> tuple[Action, Phase, str | None]:
    return (Action.ROLLBACK, Phase.DONE, release)


def test_nothing_is_served_before_a_promotion_is_done() -> None:
    assert production_of(journal((Action.PROMOTE, Phase.INTENT, "a"), (Action.PROMOTE, Phase.FAILED, "a"))) is None


def test_a_rollback_goes_to_the_release_before() -> None:
    entries = journal(*promoted("a", "b", "c"))
    assert production_of(entries).release_id == "c"
    assert rollback_target(entries).release_id == "b"


def test_two_rollbacks_go_two_releases_back_and_not_to_and_fro() -> None:
    entries = journal(*promoted("a", "b", "c"), went_back("b"))
    assert production_of(entries).release_id == "b"
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
    assert production_of(entries).release_id == "a"
    with pytest.raises(PromotionRefused, match="nothing to roll back to"):
        rollback_target(entries)


def test_an_intent_is_open_until_something_names_it() -> None:
    first, second, end = journal(
        (Action.PROMOTE, Phase.INTENT, "a"), (Action.PROMOTE, Phase.INTENT, "b"), (Action.PROMOTE, Phase.DONE, "a")
    )
    end = Entry(**{**end.__dict__, "intent_id": first.id})
    assert JournalView.of([first, second, end]).open_intents(Action.PROMOTE) == [second]
    assert JournalView.of([first, second, end]).open_intents(Action.ROLLBACK) == []


def test_the_last_state_is_what_was_seen_or_decided_last() -> None:
    state = RegistryState({1: Stage.PRODUCTION}, {"production": 1})
    seen, other = journal((Action.REGISTRY_WRITE, Phase.INTENT, None), *promoted("a"))
    seen = Entry(**{**seen.__dict__, "figures": {"after": state.to_json()}})
    assert JournalView.of([seen, other]).registry_state == state
    assert JournalView.of([other]).registry_state is None


def moved(action: Action, release: str, generation: str, **more: object) -> Entry:
    (entry,) = journal((action, Phase.DONE, release))
    return replace(entry, generation_id=generation, **more)


def numbered(*entries: Entry) -> list[Entry]:
    """The entries, an hour apart."""
    return [
        replace(entry, id=number, ts=MOMENT + timedelta(hours=number)) for number, entry in enumerate(entries, start=1)
    ]


def test_a_refresh_serves_the_newer_generation_and_is_no_step_back() -> None:
    first, second, *refreshes = (
        moved(Action.PROMOTE, "a", "a1"),
        moved(Action.PROMOTE, "b", "b1"),
        *(moved(Action.REFRESH, "b", f"b{number}") for number in range(2, 9)),
    )
    entries = numbered(first, second, *refreshes)
    assert (production_of(entries).release_id, production_of(entries).generation_id) == ("b", "b8")
    assert rollback_target(entries).release_id == "a"


def test_a_rollback_goes_to_the_generation_that_was_served_last_of_the_release() -> None:
    entries = numbered(
        moved(Action.PROMOTE, "a", "a1"), moved(Action.REFRESH, "a", "a2"), moved(Action.PROMOTE, "b", "b1")
    )
    assert [rollback_target(entries, to).generation_id for to in (None, "a")] == ["a2", "a2"]


@dataclass
class SlowModel:
    """The way back as somebody would keep it on paper: a pile of releases, and the latest values of each."""

    pile: list[str] = field(default_factory=list)
    latest: dict[str, str] = field(default_factory=dict)

    def promote(self, release: str, generation: str) -> None:
        if not self.pile or self.pile[-1] != release:
            self.pile.append(release)
        self.latest[release] = generation

    def refresh(self, generation: str) -> None:
        self.latest[self.pile[-1]] = generation

    def roll_back(self, to: str | None) -> None:
        if to is None:
            self.pile.pop()
            return
        while to in self.pile and self.pile[-1] != to:
            self.pile.pop()
        if to not in self.pile:
            self.pile.append(to)


@st.composite
def steps(draw: st.DrawFn) -> tuple[SlowModel, list[Entry]]:
    """Random promotions, refreshes and rollbacks that can be made, with other entries in between."""
    model, entries = SlowModel(), []
    for number in range(draw(st.integers(0, 25))):
        kinds = ["promote", "noise"] + ["refresh"] * bool(model.pile) + ["back"] * (len(model.pile) > 1)
        kinds += ["named"] * (len(model.latest) > 1)
        match draw(st.sampled_from(kinds)):
            case "promote":
                release = draw(st.sampled_from("abcd"))
                model.promote(release, f"g{number}")
                entries.append(moved(Action.PROMOTE, release, f"g{number}"))
            case "refresh":
                model.refresh(f"g{number}")
                entries.append(moved(Action.REFRESH, model.pile[-1], f"g{number}"))
            case "back":
                entries.append(gone_back(entries, None))
                model.roll_back(None)
            case "named":
                to = draw(st.sampled_from(sorted(model.latest.keys() - {model.pile[-1]})))
                entries.append(gone_back(entries, to))
                model.roll_back(to)
            case _:
                noise = draw(st.sampled_from([action for action in Action if action not in MOVES_OF_PRODUCTION]))
                entries.append(moved(noise, "z", "g-noise"))
    return model, numbered(*entries)


def gone_back(entries: list[Entry], to: str | None) -> Entry:
    """The entry that a rollback writes: to wherever the history says."""
    target = rollback_target(numbered(*entries), to)
    return moved(Action.ROLLBACK, str(target.release_id), str(target.generation_id))


@given(steps())
def test_what_is_served_and_the_way_back_are_those_of_a_slow_model(made: tuple[SlowModel, list[Entry]]) -> None:
    model, entries = made
    now = production_of(entries)
    assert (now.release_id if now else None) == (model.pile[-1] if model.pile else None)
    assert (now.generation_id if now else None) == (model.latest[model.pile[-1]] if model.pile else None)
    if len(model.pile) < 2:
        with pytest.raises(PromotionRefused, match="nothing to roll back to"):
            rollback_target(entries)
    else:
        target = rollback_target(entries)
        assert (target.release_id, target.generation_id) == (model.pile[-2], model.latest[model.pile[-2]])
    for release, generation in model.latest.items():
        assert rollback_target(entries, release).generation_id == generation


@given(steps(), st.integers(0, 26))
def test_what_was_served_at_a_moment_is_what_was_served_when_that_was_the_end(
    made: tuple[SlowModel, list[Entry]], hours: int
) -> None:
    _, entries = made
    standing = standing_at(entries, MOMENT + timedelta(hours=hours))
    assert standing.production == production_of(entries[:hours])
    if standing.production:
        assert standing.since.release_id == standing.production.release_id
        assert standing.since.id <= standing.production.id


def test_a_moment_is_before_at_or_after_a_switch() -> None:
    entries = numbered(moved(Action.PROMOTE, "a", "a1"), moved(Action.PROMOTE, "b", "b1"))
    switched = entries[1].ts
    just_before = standing_at(entries, switched - timedelta(microseconds=1))
    assert [just_before.production.release_id, standing_at(entries, switched).production.release_id] == ["a", "b"]
    assert standing_at(entries, entries[0].ts - timedelta(microseconds=1)).production is None


def test_a_release_stands_since_its_first_generation_and_not_through_another_release() -> None:
    entries = numbered(
        moved(Action.PROMOTE, "a", "a1"),
        moved(Action.PROMOTE, "b", "b1"),
        moved(Action.ROLLBACK, "a", "a1"),
        moved(Action.REFRESH, "a", "a2"),
    )
    standing = standing_at(entries, entries[-1].ts)
    assert (standing.production.id, standing.since.id) == (4, 3)


def test_a_switch_that_was_noted_as_done_later_is_told_as_under_way() -> None:
    first, intent, done = numbered(
        moved(Action.PROMOTE, "a", "a1"),
        moved(Action.PROMOTE, "b", "b1", phase=Phase.INTENT),
        moved(Action.PROMOTE, "b", "b1", intent_id=2),
    )
    entries = [first, intent, done]
    between = standing_at(entries, intent.ts)
    assert (between.production, between.switching) == (first, intent)
    assert (standing_at(entries, done.ts).production, standing_at(entries, done.ts).switching) == (done, None)
    assert standing_at([first, intent], intent.ts).switching is None  # nobody ever said that it moved


def test_staging_at_a_moment_is_left_by_going_to_production_or_being_taken_out() -> None:
    entries = numbered(
        moved(Action.STAGE, "a", "a1", version=1),
        moved(Action.STAGE, "b", "b1", version=2),
        moved(Action.PROMOTE, "a", "a1", version=1),
        moved(Action.PROMOTE, "b", "b1", version=2),
        moved(Action.STAGE, "c", "c1", version=3),
        moved(Action.STAGE, None, None),
    )
    staged = [standing_at(entries, entry.ts).staging for entry in entries]
    assert [entry.release_id if entry else None for entry in staged] == ["a", "b", "b", None, "c", None]
