"""What stood where at one moment, as the journal knew it then."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from release.journal.entries import Entry
from release.journal.view import CHANGES, JournalView


@dataclass(frozen=True)
class Standing:
    """What stood where at one moment.

    production: the entry that put it there; since: the first of the unbroken row of entries that kept the release
    there. switching: a move of the pointer that had begun and was noted as done only later, so that either side of it
    may have been served.
    """

    moment: datetime
    production: Entry | None
    since: Entry | None
    staging: Entry | None
    switching: Entry | None

    @classmethod
    def of(cls, view: JournalView, moment: datetime, done_later: Collection[int]) -> Standing:
        """view: of the entries up to the moment; done_later: the intents that were noted as done after it."""
        switching = [intent for intent in view.open_intents(*CHANGES) if intent.id in done_later]
        since = view.production_since
        return cls(moment, view.production, since, view.staging, switching[-1] if switching else None)

    def to_json(self) -> dict[str, Any]:
        entries = {name: value for name, value in self.__dict__.items() if name != "moment"}
        return {"at": self.moment.isoformat(), **{name: entry and entry.to_json() for name, entry in entries.items()}}
