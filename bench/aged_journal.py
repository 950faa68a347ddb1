"""Years of a journal, written at once: entries as the product writes them one by one, in one chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from contracts.home import Home
from release.journal.checkpoints import ENTRIES_PER_CHECKPOINT
from release.journal.database import open_database
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.journal.table import EntryTable

HOURS_A_YEAR = 8760
RELEASE_HOURS = 72  # a release every three days: some hundred in three years
START = datetime(2023, 1, 1, tzinfo=UTC)

Dated = tuple[datetime, Note]


def age(home: Home, app: str, release_id: str, years: int) -> int:
    """Write years of releases with hourly refreshes behind what is in the journal, `release_id` the last of them.

    Then as many entries stand behind the last checkpoint as may. Returns the number of all entries.
    """
    write_at_once(home, app, hourly_refreshes(release_id, years * HOURS_A_YEAR, RELEASE_HOURS))
    put_behind_checkpoint(home, app)
    last = Journal(home, app).view().last
    return last.id if last else 0


def put_behind_checkpoint(home: Home, app: str) -> None:
    """Write entries until one more would have the next checkpoint kept: what a new process has to read then."""
    journal = Journal(home, app)
    journal.keep_checkpoint()
    view = journal.view()
    n_lacking = ENTRIES_PER_CHECKPOINT - 1 - (view.n_entries - view.n_kept)
    write_at_once(home, app, [(view.latest_ts or START, Note(Action.RECORD, Phase.DONE))] * n_lacking)


def hourly_refreshes(release_id: str, n_hours: int, release_hours: int | None = None) -> Iterator[Dated]:
    """Promotions, and a refresh each hour after one; an intent is ended by the note that follows it.

    release_hours: how long each release is in production, those before the last under names made up; None: one release
    is there all the time.
    """
    promotion = Note(Action.PROMOTE, Phase.INTENT, release_id, "g-00000", 1, epoch=0, requester="bench")
    n_releases = 1 + (n_hours - 1) // release_hours if release_hours else 1
    for hour in range(n_hours):
        number, age_hours = divmod(hour, release_hours) if release_hours else (0, hour)
        values = {
            "release_id": release_id if number == n_releases - 1 else f"r-aged-{number:05}",
            "generation_id": f"g-{hour:05}",
            "epoch": hour,
            "action": Action.REFRESH if age_hours else Action.PROMOTE,
        }
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
