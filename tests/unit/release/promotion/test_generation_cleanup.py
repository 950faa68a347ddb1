"""Which generations the entries of a journal give a reason to keep."""

from __future__ import annotations

from dataclasses import replace

from release.journal.entries import Action, Entry, Phase
from release.journal.view import JournalView
from release.promotion.generation_cleanup import generations_to_keep
from tests.unit.release.journal.test_view import journal, promoted, went_back


def entries_of(*steps: tuple[Action, Phase, str | None]) -> list[Entry]:
    """Each release with a generation named after it."""
    return [
        replace(entry, generation_id=entry.release_id and f"values-of-{entry.release_id}") for entry in journal(*steps)
    ]


def kept(entries: list[Entry], n_last: int) -> dict[str, str]:
    return {
        name.removeprefix("values-of-"): why
        for name, why in generations_to_keep(JournalView.of(entries), n_last).items()
    }


def test_before_anything_was_promoted_the_journal_keeps_nothing() -> None:
    assert kept(entries_of(), 3) == {}
    assert kept(entries_of((Action.PROMOTE, Phase.INTENT, "a"), (Action.PROMOTE, Phase.FAILED, "a")), 3) == {}


def test_what_is_served_and_what_a_rollback_goes_to_stay_even_when_none_of_the_last_do() -> None:
    entries = entries_of(*promoted("a", "b", "c", "d"))
    assert kept(entries, 0) == {"d": "in production", "c": "a rollback would go to it"}


def test_after_a_rollback_the_target_is_one_further_back() -> None:
    entries = entries_of(*promoted("a", "b", "c"), went_back("b"))
    assert kept(entries, 0) == {"b": "in production", "a": "a rollback would go to it"}


def test_the_last_different_ones_in_production_stay() -> None:
    entries = entries_of(*promoted("a", "b", "c", "d"), went_back("c"), *promoted("d", "c"))
    assert set(kept(entries, 3)) == {"c", "d", "b"}
    assert kept(entries, 3)["b"] == "one of the last 3 in production"


def test_what_stands_in_staging_stays_and_what_stood_there_does_not() -> None:
    staged = [(Action.STAGE, Phase.DONE, release) for release in ("x", "y")]
    assert kept(entries_of(*promoted("a"), *staged), 0) == {"a": "in production", "y": "in Staging"}
    assert kept(entries_of(*promoted("a"), *staged, (Action.STAGE, Phase.DONE, None)), 0) == {"a": "in production"}


def test_an_older_generation_of_the_release_served_is_one_of_the_last() -> None:
    before, after = journal(*promoted("a", "a"))
    entries = [replace(before, generation_id="monday"), replace(after, generation_id="tuesday")]
    assert generations_to_keep(JournalView.of(entries), 1) == {"tuesday": "in production"}
    assert set(generations_to_keep(JournalView.of(entries), 2)) == {"tuesday", "monday"}
