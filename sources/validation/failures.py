"""What stops a run, in words: the rule that broke, the files that it concerns, the worst first, and some rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from contracts.counted import counted
from contracts.tables import SCHEMAS
from contracts.validation_rules import is_about_the_baseline
from sources.canonical.origins import ORIGIN_SCHEMA, Origins
from sources.canonical.row_text import as_line
from sources.validation.row_batches import FIRST, POSITION
from sources.validation.suites import NOT_REPEATED

REASON = "reason"
DETAIL = "detail"
# What a row in quarantine has besides its table's columns: where it was, what could not be read, the rules broken.
QUARANTINE_COLUMNS = pl.Schema({**ORIGIN_SCHEMA, DETAIL: pl.String(), REASON: pl.String()})
N_EXAMPLES = 3
N_FILES = 3  # named in a message


@dataclass(frozen=True)
class Failure:
    """A table-level rule that broke. observed: what was measured; count: the rows it concerns, of n_rows.

    files: which files these rows are in, in words, the worst first; none where one file holds the whole table.
    file: the worst of them; columns: those that the rule compares, where they are not in its name.
    """

    table: str
    rule: str
    says: str
    observed: str
    count: int
    n_rows: int
    examples: tuple[str, ...]
    files: tuple[str, ...] = ()
    file: str | None = None
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        # What is held against the baseline is measured over all rows: there is no part of them to count.
        rows = "" if is_about_the_baseline(self.rule) else f" ({self.count:,} of {self.n_rows:,} rows)"
        head = f"{self.table} break rule `{self.rule}`: expected that {self.says}; found {self.observed}{rows}."
        return "\n".join([head, *(f"  {line}" for line in (*self.files, *self.examples))])


class AffectedRows:
    """The rows that a failure concerns: how many, in which files, and the first of each file."""

    def __init__(self) -> None:
        self.count = 0
        self._by_file: Counter[str | None] = Counter()
        self._repeats: dict[str | None, Counter[str]] = {}
        self._first: dict[str | None, pl.DataFrame] = {}

    @classmethod
    def only(cls, count: int, first: pl.DataFrame) -> AffectedRows:
        """So many rows of unknown files, with the first of them."""
        rows = cls()
        rows.count = count
        rows._by_file[None] = count
        rows._first[None] = first
        return rows

    @classmethod
    def in_quarantine(cls, path: Path) -> AffectedRows:
        """The rows of a quarantine file."""
        rows, aside = cls(), pl.scan_parquet(path)
        rows._by_file.update(dict(aside.group_by("file").len().collect(engine="streaming").iter_rows()))
        rows.count = rows._by_file.total()
        for file in rows._ranked()[:1]:
            rows._first[file] = aside.filter(pl.col("file").eq_missing(pl.lit(file))).head(N_EXAMPLES).collect()
        return rows

    def add(self, rows: pl.DataFrame, name: str, origins: Origins) -> None:
        """Take rows of a batch, with their POSITION; FIRST: that of the row which each of them repeats."""
        self.count += len(rows)
        if rows.is_empty():
            return
        placed = rows.hstack(origins.of(name, rows[POSITION]))
        self._by_file.update(dict(placed["file"].value_counts().iter_rows()))
        for (file,), mine in placed.group_by("file", maintain_order=True):
            first = self._first.get(_file_name(file), mine.clear())
            self._first[_file_name(file)] = pl.concat([first, mine.head(N_EXAMPLES - len(first))])
        if FIRST in rows.columns:
            originals = origins.of(name, rows[FIRST])["file"].alias("original")
            pairs = placed.select("file", originals).drop_nulls().group_by("file", "original").len()
            for file, original, count in pairs.iter_rows():
                self._repeats.setdefault(file, Counter())[original] += count

    def examples(self, name: str) -> tuple[str, ...]:
        """The first rows of the worst file, as lines."""
        for file in self._ranked()[:1]:
            first = self._first[file]
            shown = [one for one in first.columns if one in SCHEMAS[name] or one in QUARANTINE_COLUMNS]
            return tuple(as_line(row) for row in first.select(shown).iter_rows(named=True))
        return ()

    def files(self, rows_of: Mapping[str, int]) -> tuple[str, ...]:
        """The files in words, the one with most of these rows first. rows_of: how many rows of the table each has."""
        return tuple(self._file_lines(rows_of)) if len(rows_of) > 1 else ()

    def worst_file(self, rows_of: Mapping[str, int]) -> str | None:
        """The file with most of these rows, where several files hold the table."""
        return next(iter(self._ranked()), None) if len(rows_of) > 1 else None

    def _file_lines(self, rows_of: Mapping[str, int]) -> Iterator[str]:
        ranked = [file for file in self._ranked() if file is not None]
        for file in ranked[:N_FILES]:
            yield f"{file}: {self._by_file[file]:,} of its {rows_of[file]:,} rows{self._which_repeat(file)}"
        others = sum(self._by_file[file] for file in ranked[N_FILES:])
        if others:
            yield f"{counted(len(ranked) - N_FILES, 'more file')}: {others:,} rows"

    def _which_repeat(self, file: str) -> str:
        originals = self._repeats.get(file)
        if not originals:
            return ""
        worst = min(originals, key=lambda one: (-originals[one], one))
        whose = "other rows of the same file" if worst == file else f"rows of {worst}"
        return f", of which {originals[worst]:,} repeat {whose}"

    def _ranked(self) -> list[str | None]:
        return sorted(self._by_file, key=lambda file: (-self._by_file[file], file is None, file or ""))


def _file_name(file: object) -> str | None:
    return None if file is None else str(file)


@dataclass(frozen=True)
class FileCounts:
    """The rows of one file: all, those in quarantine, and those of them that repeat an earlier row."""

    n_rows: int
    n_quarantined: int = 0
    n_repeated: int = 0

    def to_json(self) -> dict[str, int]:
        return {"rows": self.n_rows, "quarantined": self.n_quarantined, "repeated": self.n_repeated}


def count_by_file(rows_of: Mapping[str, int], quarantine: Path) -> dict[str, FileCounts]:
    """The counts of each file, the one with most rows in quarantine first. rows_of: all rows of each file."""
    is_repeat = pl.col(REASON).str.split(", ").list.contains(NOT_REPEATED)
    aside = pl.scan_parquet(quarantine).drop_nulls("file").group_by("file").agg(pl.len(), repeats=is_repeat.sum())
    bad = {file: (n_bad, n_repeats) for file, n_bad, n_repeats in aside.collect(engine="streaming").iter_rows()}
    counts = {file: FileCounts(n_rows, *bad.get(file, (0, 0))) for file, n_rows in rows_of.items()}
    return dict(sorted(counts.items(), key=lambda one: (-one[1].n_quarantined, one[0])))


def volume_lines(rows_of: Mapping[str, int], *, too_many: bool) -> tuple[str, ...]:
    """The files with most rows, or with fewest, and what is usual; none where one file holds the whole table."""
    if len(rows_of) <= 1:
        return ()
    ranked = sorted(rows_of, key=lambda file: (-rows_of[file] if too_many else rows_of[file], file))
    usual = sorted(rows_of.values())[len(rows_of) // 2]
    extreme = "most" if too_many else "fewest"
    files = ", ".join(f"{file} {rows_of[file]:,}" for file in ranked[:N_FILES])
    return (f"{len(rows_of):,} files, of {usual:,} rows in the middle; the {extreme} rows have {files}",)
