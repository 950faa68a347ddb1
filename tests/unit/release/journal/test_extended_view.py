"""A view extended bit by bit equals the view of all entries, and says what a slow reading of all of them says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import PromotionRefused
from release.canary.canary_run import last_run, noted_as_ended
from release.journal import view as view_module
from release.journal.entries import Action, CanaryStep, Entry, Phase
from release.journal.moves import N_RECENT, LateMove
from release.journal.view import JournalView
from release.registry.state import RegistryState, Stage
from tests.unit.release.journal.slow_history import (
    last_generations,
    last_state,
    open_intents,
    rollback_target,
    served,
    since,
    staged,
    token_shown,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
RELEASES = ("r-a", "r-b", "r-c")
VERSIONS = (1, 2, 3)


def figures_of(draw: st.DrawFn, action: Action, release: str) -> dict:
    """What the product writes there."""
    if action is Action.CANARY:
        step, beside = draw(st.sampled_from(list(CanaryStep))), draw(st.sampled_from(RELEASES))
        return {
            "step": str(step),
            "share": draw(st.sampled_from([0.25, 0.5])),
            "salt": release,
            "started_ts": 7,
            "beside": beside,
        }
    if action in (Action.OBSERVE, Action.REGISTRY_WRITE):
        after = RegistryState({draw(st.sampled_from(VERSIONS)): Stage.PRODUCTION})
        return {"after": after.to_json()}
    return {}


@st.composite
def journals(draw: st.DrawFn, most: int = 30) -> list[Entry]:
    """Entries in any order: intents that others end, late or twice, moves without one, and a clock that goes back."""
    entries: list[Entry] = []
    for number in range(1, draw(st.integers(0, most)) + 1):
        ended = draw(st.sampled_from([None, *(entry for entry in entries if entry.phase is Phase.INTENT)]))
        action = ended.action if ended else draw(st.sampled_from(list(Action)))
        release = ended.release_id if ended else draw(st.sampled_from(RELEASES))
        phase = draw(st.sampled_from([Phase.DONE, Phase.DONE, Phase.FAILED] if ended else list(Phase)))
        is_emptied = action is Action.STAGE and draw(st.booleans())
        entry = Entry(
            action,
            phase,
            None if is_emptied else release,
            draw(st.sampled_from([None, "g-1", "g-2", "g-3"])),
            draw(st.sampled_from([None, *VERSIONS])),
            figures=ended.figures if ended else figures_of(draw, action, str(release)),
            intent_id=ended.id if ended else None,
            id=number,
            ts=START + timedelta(hours=draw(st.integers(0, most))),
            app="movies",
            previous_hash="",
        )
        entries.append(entry)
    return entries


def in_parts(entries: list[Entry], cuts: list[int]) -> list[list[Entry]]:
    places = sorted({cut % (len(entries) + 1) for cut in cuts})
    return [entries[a:b] for a, b in zip([0, *places], [*places, len(entries)], strict=True)]


def extended(parts: list[list[Entry]]) -> JournalView:
    """The view that grows by one part after the other, begun anew where only that is right."""
    entries = [entry for part in parts for entry in part]
    by_id = {entry.id: entry for entry in entries}
    view = JournalView(read_entry=by_id.get)
    for number, part in enumerate(parts, start=1):
        try:
            view = view.extended(part)
        except LateMove:
            so_far = [entry for part in parts[:number] for entry in part]
            view = JournalView(read_entry=by_id.get).extended(so_far)
    return view


@given(journals(), st.lists(st.integers(0, 40), max_size=6), st.sampled_from([1, 3, 64]))
def test_a_view_extended_bit_by_bit_is_the_view_of_all_entries(
    entries: list[Entry], cuts: list[int], n_recent: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("release.journal.moves.N_RECENT", n_recent)
        assert extended(in_parts(entries, cuts)) == JournalView.of(entries)


@given(journals(), st.lists(st.integers(0, 40), max_size=6))
def test_a_view_says_what_reading_all_entries_says(entries: list[Entry], cuts: list[int]) -> None:
    view = extended(in_parts(entries, cuts))
    assert view.production == served(entries)
    assert view.production_since == since(entries)
    assert view.staging == staged(entries)
    assert view.registry_state == last_state(entries)
    assert view.open_intents(*Action) == open_intents(entries, *Action)
    assert list(view.generation_ids) == last_generations(entries)
    for version in VERSIONS:
        assert view.tokens.get(version) == token_shown(entries, version)


@given(journals(), st.lists(st.integers(0, 40), max_size=6), st.sampled_from([None, *RELEASES, "r-never"]))
def test_a_rollback_goes_where_reading_all_entries_says(entries: list[Entry], cuts: list[int], to: str | None) -> None:
    view = extended(in_parts(entries, cuts))
    assert _target_or_refusal(view.rollback_target, to) == _target_or_refusal(
        lambda release: rollback_target(entries, release), to
    )


def _target_or_refusal(target: Callable[[str | None], Entry], to: str | None) -> Entry | str:
    try:
        return target(to)
    except PromotionRefused as refusal:
        return str(refusal)


@given(journals(), st.lists(st.integers(0, 40), max_size=6))
def test_what_a_view_keeps_of_a_canary_tells_it_whole(entries: list[Entry], cuts: list[int]) -> None:
    started = next((n for n, e in enumerate(entries) if _starts_a_canary(e)), len(entries))
    entries = [entry for n, entry in enumerate(entries) if n >= started or entry.action is not Action.CANARY]
    view = extended(in_parts(entries, cuts))
    everything = SimpleNamespace(canary_entries=[entry for entry in entries if entry.phase is Phase.DONE])
    assert last_run(view) == last_run(everything)  # type: ignore[arg-type]
    assert noted_as_ended(view) == noted_as_ended(everything)  # type: ignore[arg-type]


def _starts_a_canary(entry: Entry) -> bool:
    return entry.action is Action.CANARY and entry.phase is Phase.DONE and entry.figures["step"] == CanaryStep.START


def promoted(number: int, release: str, intent_id: int | None = None) -> Entry:
    return Entry(
        Action.PROMOTE,
        Phase.DONE,
        release,
        f"g-{number}",
        intent_id=intent_id,
        id=number,
        ts=START,
        app="movies",
        previous_hash="",
    )


def test_a_move_told_after_many_others_needs_all_entries_and_a_few_late_ones_do_not() -> None:
    intent = replace(promoted(1, "r-a"), phase=Phase.INTENT)
    later = [promoted(number, "r-b") for number in range(2, N_RECENT + 3)]
    late = promoted(N_RECENT + 3, "r-a", intent_id=1)
    with pytest.raises(LateMove):
        JournalView.of([intent, *later]).extended([late])
    in_time = JournalView.of([intent, *later[:N_RECENT]]).extended([replace(late, id=N_RECENT + 2)])
    assert (in_time.production.release_id, in_time.moves.trail.way) == ("r-b", ("r-a", "r-b"))


def test_the_last_move_folded_together_told_again_needs_all_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release.journal.moves.N_RECENT", 1)
    intent = replace(promoted(1, "r-a"), phase=Phase.INTENT)
    entries = [intent, promoted(2, "r-a", intent_id=1), promoted(3, "r-b"), promoted(4, "r-a", intent_id=1)]
    with pytest.raises(LateMove):
        JournalView.of(entries[:3]).extended(entries[3:])
    assert JournalView.of(entries).moves.trail.way == ("r-a", "r-b")


def test_a_view_stays_as_it_was_when_another_is_made_of_it() -> None:
    view = JournalView.of([promoted(1, "r-a")])
    view.extended([promoted(2, "r-b"), replace(promoted(3, "r-c"), phase=Phase.INTENT)])
    assert view == JournalView.of([promoted(1, "r-a")])
    assert view.extended([]) is view


def canary_step(number: int, step: CanaryStep, share: float) -> Entry:
    figures = {"step": str(step), "share": share, "salt": "s", "started_ts": 7, "beside": "r-a"}
    return replace(promoted(number, "r-b"), action=Action.CANARY, figures=figures)


def test_a_canary_that_is_restored_again_and_again_does_not_make_the_view_longer() -> None:
    steps = [
        canary_step(1, CanaryStep.START, 0.1),
        canary_step(2, CanaryStep.SHARE, 0.2),
        *(canary_step(number, CanaryStep.RESTORE, 0.2) for number in range(3, 100)),
        canary_step(100, CanaryStep.SHARE, 0.3),
    ]
    view = JournalView.of(steps)
    assert [entry.id for entry in view.canary_entries] == [1, 99, 100]
    run = last_run(view)
    assert (run.canary.share, [period.share for period in run.periods]) == (0.3, [0.2, 0.3])
    assert last_run(JournalView.of(steps[:-1])).canary.share == 0.2


def test_only_so_many_generations_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "N_GENERATIONS", 2)
    view = JournalView.of([promoted(number, "r-a") for number in range(1, 4)])
    assert view.extended([promoted(4, "r-a")]).generation_ids == ("g-4", "g-3")
