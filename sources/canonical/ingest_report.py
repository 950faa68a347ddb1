"""What came in: rows, files and what was left out, by table; printed by `ingest`, and kept beside the tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contracts.counted import counted
from contracts.json_file import write_json
from contracts.printable import printable_line

REPORT = "report.json"


@dataclass
class IngestReport:
    """What came in. rows: by table; files: how many by table; refused: rows that could not be read, by table.

    left_out: interactions by the word of their event type that the mapping leaves out; conditions: rows that `where`
    and `drop` leave out, by mapping and condition; counts: what else became of rows, in words; made_from_interactions:
    tables that no file held, and what they were made of; served: what of the rows is served traffic, and of how many
    days; unended: files that end within a line, where other files of their table do not; ids: how columns of ids that
    have whole floats (17850.0) are read, by column; guests: of the users, those whom no file of people names.
    """

    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    conditions: dict[str, dict[str, int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    made_from_interactions: dict[str, str] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)
    unended: dict[str, list[str]] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    guests: int = 0

    def count(self, what: str, n_rows: int) -> None:
        """Add to a count, unless there is nothing to add."""
        if n_rows:
            self.counts[what] = self.counts.get(what, 0) + n_rows

    def save(self, folder: Path) -> None:
        """Write the report beside the tables."""
        write_json(self.to_json(), folder / REPORT)

    def to_json(self) -> dict[str, Any]:
        content = asdict(self)
        content["derived"] = content.pop("made_from_interactions")  # its name in the reports that users have
        return content

    def __str__(self) -> str:
        return "\n".join(map(printable_line, self._lines()))

    def _lines(self) -> Iterator[str]:
        for name, count in self.rows.items():
            source = f" from {counted(self.files[name], 'file')}" if name in self.files else ""
            made_from = f", {self.made_from_interactions[name]}" if name in self.made_from_interactions else ""
            refused = self.refused.get(name, 0)
            aside = f"; {refused:,} more cannot be read and go to quarantine" if refused else ""
            if name == "users" and self.guests:
                others = f", and {counted(self.guests, 'guest')} of the interactions: {count:,} together"
                yield f"{count - self.guests:,} {name}{source}{made_from}{others}{aside}"
            else:
                yield f"{count:,} {name}{source}{made_from}{aside}"
        if self.left_out:
            words = ", ".join(f"{word} {count:,}" for word, count in self.left_out.items())
            yield f"left out, as event_types says: {words}"
        for where, conditions in self.conditions.items():
            words = "; ".join(f"{condition} {count:,}" for condition, count in conditions.items())
            yield f"left out, as the conditions of {where} say: {words}"
        if self.counts:
            yield "among the rows read: " + ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        if self.served:
            words = ", ".join(f"{count:,} {name}" for name, count in self.served.items())
            yield f"of these, served traffic: {words}"
        for column, how in self.ids.items():
            yield f"{column}: {how}"
        for name, files in self.unended.items():
            more = f" and {counted(len(files) - 1, 'more file')} end" if len(files) > 1 else " ends"
            yield f"{name}: {files[0]}{more} without a line end, unlike the others: were they cut short?"
