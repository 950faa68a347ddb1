"""The journal's entries in their table, each query bounded by what it asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from datetime import datetime

from contracts.errors import ArtefactError
from release.journal.database import Connection, Database, Row
from release.journal.entries import Entry, Phase, time_text

PAGE = 5000  # rows read at once: some MiB of memory, and a writer waits for no more than one page

_COLUMNS = ", ".join(part.name for part in fields(Entry))
_SELECT = f"SELECT {_COLUMNS} FROM journal"  # noqa: S608 - names of ours


@dataclass(frozen=True)
class EntryTable:
    """The entries, through an open connection. Raises ArtefactError where one cannot be understood."""

    database: Database
    connection: Connection

    def append(self, entry: Entry) -> None:
        """Write an entry; the database refuses one that does not follow the last."""
        self.connection.insert("journal", entry.to_row())

    def end(self) -> tuple[int, str] | None:
        """Id and hash of the last entry of all applications."""
        rows = self.connection.rows("SELECT id, hash FROM journal ORDER BY id DESC LIMIT 1")
        return (rows[0]["id"], rows[0]["hash"]) if rows else None

    def following(
        self, after: int | None, app: str | None = None, *, up_to: int | None = None, until: datetime | None = None
    ) -> Iterator[Entry]:
        """The entries behind one, oldest first.

        after: its id; None for all entries, whatever ids somebody gave them. app: those of this application alone;
        up_to: the last that may come; until: none of a later time.
        """
        while page := self._page(after, app, up_to, until):
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].id

    def latest(self, app: str, n: int) -> list[Entry]:
        """The last n entries of an application, oldest first."""
        query = f"{_SELECT} WHERE app = :app ORDER BY id DESC LIMIT :n"
        return self._entries(query, app=app, n=n)[::-1]

    def by_id(self, ids: Collection[int]) -> dict[int, Entry]:
        """The entries of these ids, those that are there."""
        if not ids:
            return {}
        entries = self._entries(f"{_SELECT} WHERE id IN ({_ids_text(ids)})")
        return {entry.id: entry for entry in entries}

    def done_later(self, intent_ids: Collection[int], moment: datetime) -> set[int]:
        """Those of these intents that were noted as done after the moment."""
        if not intent_ids:
            return set()
        query = (
            f"SELECT DISTINCT intent_id FROM journal WHERE intent_id IN ({_ids_text(intent_ids)}) AND phase = :done "  # noqa: S608 - numbers
            f"AND ts {self.database.by_bytes} > :moment"
        )
        rows = self.connection.rows(query, done=str(Phase.DONE), moment=time_text(moment))
        return {row["intent_id"] for row in rows}

    def n_up_to(self, entry_id: int) -> int:
        """How many entries there are up to this one."""
        return int(self.connection.rows("SELECT count(*) AS n FROM journal WHERE id <= :id", id=entry_id)[0]["n"])

    def _page(self, after: int | None, app: str | None, up_to: int | None, until: datetime | None) -> list[Entry]:
        bounds = [
            ("id > :after", "after", after),
            ("app = :app", "app", app),
            ("id <= :up_to", "up_to", up_to),
            (f"ts {self.database.by_bytes} <= :until", "until", until and time_text(until)),
        ]
        given = [bound for bound in bounds if bound[2] is not None]
        condition = f"WHERE {' AND '.join(sql for sql, *_ in given)}" if given else ""
        parameters = {name: value for _, name, value in given}
        return self._entries(f"{_SELECT} {condition} ORDER BY id LIMIT {PAGE}", **parameters)

    def _entries(self, query: str, **parameters: object) -> list[Entry]:
        return [self._entry(row) for row in self.connection.rows(query, **parameters)]

    def _entry(self, row: Row) -> Entry:
        try:
            return Entry.from_row(row)
        except ValueError as error:
            raise changed(self.database, f"entry {row['id']} cannot be understood ({error})") from error


def changed(database: Database, what: str) -> ArtefactError:
    """The error that says that the journal is not as it was written."""
    return ArtefactError(
        f"{database.address}: {what}; the journal was changed, or written by a newer Slatework.",
        "Restore it from a backup (the entries before this one are sound), or bring this checkout up to date.",
    )


def _ids_text(ids: Collection[int]) -> str:
    return ", ".join(str(int(number)) for number in sorted(ids))
