"""Years of a journal, written at once: entries as the product writes them one by one, in one chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from contracts.home import Home
from release.journal.database import open_database
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.journal.table import EntryTable

HOURS_A_YEAR = 8760
START = datetime(2023, 1, 1, tzinfo=UTC)

Dated = tuple[datetime, Note]


def age(home: Home, app: str, release_id: str, years: int) -> int:
    """Write years of hourly refreshes of a release behind what is in the journal; returns the number of all entries.

    It is read once then, as by the sync that runs all the while.
    """
    write_at_once(home, app, hourly_refreshes(release_id, years * HOURS_A_YEAR))
    last = Journal(home, app).view().last
    return last.id if last else 0


def hourly_refreshes(release_id: str, n_hours: int) -> Iterator[Dated]:
    """A promotion, and a refresh each hour after it; an intent is ended by the note that follows it."""
    promotion = Note(Action.PROMOTE, Phase.INTENT, release_id, "g-00000", 1, epoch=0, requester="bench")
    for hour in range(n_hours):
        values = {"generation_id": f"g-{hour:05}", "epoch": hour, "action": Action.REFRESH if hour else Action.PROMOTE}
        intent = replace(promotion, **values)
        moment = START + timedelta(hours=hour)
        yield moment, intent
        yield moment + timedelta(seconds=30), replace(intent, phase=Phase.DONE, epoch=hour + 1)


def write_at_once(home: Home, app: str, notes: Iterable[Dated]) -> None:
    """Append notes with the times given, in one transaction. A DONE ends the last intent."""
    database = open_database(home)
    with database.writing() as connection:
        table = EntryTable(database, connection)
        end, intent_id = table.end(), None
        for moment, note in notes:
            ending = replace(note, intent_id=intent_id) if note.phase is Phase.DONE else note
            entry = Entry.behind(end, ending, moment, app)
            table.append(entry)
            end = entry.id, entry.hash
            intent_id = entry.id if note.phase is Phase.INTENT else None
    database.close()
