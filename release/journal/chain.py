"""Whether the journal is as it was written: the chain of hashes, and the checkpoints against the entries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from release.journal.checkpoints import CHAIN, VIEW, Checkpoint, CheckpointTable
from release.journal.entries import FIRST_HASH, Entry
from release.journal.moves import LateMove
from release.journal.table import EntryTable, changed
from release.journal.view import JournalView


@dataclass(frozen=True)
class Verification:
    """What a check of the journal found sound.

    n_entries: of all applications; checked_from: the first entry that was looked at, those before it were taken for
    sound; retired: the checkpoints that were wrong and are there no more.
    """

    n_entries: int
    checked_from: int
    retired: tuple[Checkpoint, ...] = ()


def check_chain(table: EntryTable, start: Entry | None = None) -> tuple[Entry | None, int]:
    """Check that each entry behind the first one, or behind `start`, follows from the one before.

    Returns the last entry, and the id of the first that was looked at. Raises ArtefactError naming the first that does
    not follow.
    """
    if start is not None and not _stands(table, start):
        start = None
    last = start
    for entry in table.following(start.id if start else None):
        number, previous = (last.id + 1, last.hash) if last else (1, FIRST_HASH)
        if (entry.id, entry.previous_hash, entry.hash) != (number, previous, entry.computed_hash()):
            raise changed(table.database, f"entry {entry.id} does not follow from the one before it")
        last = entry
    return last, start.id if start else 1


def check_head(table: EntryTable, head: str) -> None:
    """Raise ArtefactError unless the entry with this head, kept elsewhere, is there."""
    number = head.partition(":")[0]
    entries = table.by_id([int(number)] if number.isdecimal() else [])
    if head not in {entry.head for entry in entries.values()}:
        raise changed(table.database, f"entry {number} is not the one that was kept elsewhere, or is cut off")


def wrong_checkpoints(table: EntryTable) -> Iterator[Checkpoint]:
    """Those that are not as they were written, or not what the entries, which are taken for sound, come to."""
    app, view = None, JournalView()
    for kept in CheckpointTable(table).all_of(VIEW):
        checkpoint = kept.checkpoint
        if checkpoint.app != app:
            app, view = checkpoint.app, JournalView()
        view = _view_at(table, checkpoint, view)
        comes_to = Checkpoint.of_view(view, checkpoint.app) if view.last else None
        if not kept.is_as_written or comes_to != checkpoint:
            yield checkpoint
    for kept in CheckpointTable(table).all_of(CHAIN):
        number = kept.checkpoint.entry_id
        entry = table.by_id([number]).get(number)
        if not kept.is_as_written or entry is None or Checkpoint.of_chain(entry) != kept.checkpoint:
            yield kept.checkpoint


def _view_at(table: EntryTable, checkpoint: Checkpoint, before: JournalView) -> JournalView:
    try:
        return before.extended(table.following(before.last_id, checkpoint.app, up_to=checkpoint.entry_id))
    except LateMove:
        return JournalView().extended(table.following(0, checkpoint.app, up_to=checkpoint.entry_id))


def _stands(table: EntryTable, entry: Entry) -> bool:
    """Whether an entry is as it was written, and none before it is missing."""
    return entry.computed_hash() == entry.hash and table.n_up_to(entry.id) == entry.id
