"""Whether the journal is as it was written: the chain of hashes, and the checkpoints against the entries."""

from __future__ import annotations

from release.journal.checkpoints import Checkpoint, CheckpointTable
from release.journal.entries import FIRST_HASH, Entry
from release.journal.moves import LateMove
from release.journal.table import EntryTable, changed
from release.journal.view import JournalView


def check_chain(table: EntryTable, start: Entry | None = None) -> Entry | None:
    """Check that each entry behind the first one, or behind `start`, follows from the one before; returns the last.

    Raises ArtefactError naming the first that does not.
    """
    if start is not None and not _stands(table, start):
        start = None
    last = start
    for entry in table.following(start.id if start else 0):
        number, previous = (last.id + 1, last.hash) if last else (1, FIRST_HASH)
        if (entry.id, entry.previous_hash, entry.hash) != (number, previous, entry.computed_hash()):
            raise changed(table.database, f"entry {entry.id} does not follow from the one before it")
        last = entry
    return last


def check_head(table: EntryTable, head: str) -> None:
    """Raise ArtefactError unless the entry with this head, kept elsewhere, is there."""
    number = head.partition(":")[0]
    entries = table.by_id([int(number)] if number.isdecimal() else [])
    if head not in {entry.head for entry in entries.values()}:
        raise changed(table.database, f"entry {number} is not the one that was kept elsewhere, or is cut off")


def check_checkpoints(table: EntryTable) -> None:
    """Raise ArtefactError naming the first checkpoint of a view that is not what the entries up to it come to."""
    app, view = None, JournalView()
    for checkpoint in CheckpointTable(table).of_views():
        if checkpoint.app != app:
            app, view = checkpoint.app, JournalView()
        view = _view_at(table, checkpoint, view)
        if view.last_id != checkpoint.entry_id or Checkpoint.of_view(view, checkpoint.app) != checkpoint:
            raise changed(table.database, f"the checkpoint at entry {checkpoint.entry_id} is not what the entries say")


def _view_at(table: EntryTable, checkpoint: Checkpoint, before: JournalView) -> JournalView:
    try:
        return before.extended(table.following(before.last_id, checkpoint.app, up_to=checkpoint.entry_id))
    except LateMove:
        return JournalView().extended(table.following(0, checkpoint.app, up_to=checkpoint.entry_id))


def _stands(table: EntryTable, entry: Entry) -> bool:
    """Whether an entry is as it was written, and none before it is missing."""
    return entry.computed_hash() == entry.hash and table.n_up_to(entry.id) == entry.id
