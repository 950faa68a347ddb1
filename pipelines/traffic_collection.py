"""Served traffic on its way back: from the event log in Redis to day partitions, and from there into a workspace.

    SLATE_HOME/traffic/<app>/impressions/day=2026-11-24.parquet
    SLATE_HOME/traffic/<app>/interactions/day=2026-11-24.parquet
    SLATE_HOME/traffic/<app>/unreadable/day=2026-11-24.parquet     records that are none, as text, with the reason
    SLATE_HOME/traffic/<app>/place.json                            how far the stream was read, and what was lost

    <workspace>/traffic/<app>/{impressions,interactions}/           hard links to the first two: what `ingest` reads

The partitions are the record; the place only saves time. It is written after them, and a row that comes again changes
nothing, so that a collector may be killed, run twice, or lose its place (docs/adr/0017-served-traffic.md).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock
from tqdm import tqdm

from contracts.errors import StoreError
from contracts.home import Home
from contracts.json_file import write_json
from contracts.whole_files import whole_file
from feature_store.online.connection import Client, mapped_errors
from feature_store.online.event_stream import BATCH_LENGTH, NextEntries, StreamCursor, read_next
from feature_store.online.keys import events_key, events_written_key
from sources.traffic.day_partitions import add_rows, day_files, n_rows
from sources.traffic.logged_records import LOGGED, rows_of

ROWS_AT_ONCE = 100_000  # records read between two writes: some 60 MB
TABLES = ("impressions", "interactions")  # what a workspace gets


@dataclass
class Collected:
    """What one collection did. rows: new ones by table; days: the days that changed; n_lost: records that were cut off
    before they were read; is_other: Redis was emptied or restored since, and what was lost with it is not known."""

    n_read: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    days: set[str] = field(default_factory=set)
    n_lost: int = 0
    is_other: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "read": self.n_read,
            "new": {name: self.rows[name] for name in LOGGED},
            "days": sorted(self.days),
            "lost": self.n_lost,
            "other_stream": self.is_other,
        }

    def raise_losses(self) -> None:
        """Raise StoreError where records were lost; everything else is collected."""
        if self.n_lost:
            raise StoreError(
                f"{self.n_lost:,} records were cut off from the event log before they were collected: it turned "
                "faster than somebody came. Everything after them is collected.",
                "Collect more often: unpause the DAG `collect_traffic`, or run `slate traffic collect --watch`.",
            )
        if self.is_other:
            raise StoreError(
                "The event log is not the one that was read last: Redis was emptied, or restored from before. What was "
                "written between the last collection and then is lost; everything in it now is collected.",
                "`slate traffic status` has the days collected. Nothing needs to be done.",
            )


@dataclass(frozen=True)
class Ledger:
    """How far the stream was read, and what was lost in all of the time."""

    place: StreamCursor = field(default_factory=StreamCursor)
    n_lost: int = 0
    n_other: int = 0

    @classmethod
    def load(cls, path: Path) -> Ledger:
        """What was saved; the beginning where nothing was, or nothing that can be read."""
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return cls(StreamCursor(**said.pop("place")), **said)
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            print(f"{path} is damaged ({error}): the event log is read from its beginning.", file=sys.stderr)
            return cls()

    def save(self, path: Path) -> None:
        write_json(asdict(self), path)

    def after(self, entries: NextEntries) -> Ledger:
        return Ledger(entries.cursor, self.n_lost + entries.n_lost, self.n_other + entries.is_other)


def store_of(home: Home, app: str) -> Path:
    """Where what was collected of an application is kept."""
    return home.traffic / app


def collect_traffic(client: Client, home: Home, app: str, *, from_start: bool = False) -> Collected:
    """Bring what the event log holds, behind where the last collection ended, into the application's partitions.

    from_start: read all that the log still holds; what is there already changes nothing. Others that collect at the
    same time are waited for. Shows a progress bar where stderr is a terminal. Raises StoreError.
    """
    store, collected = store_of(home, app), Collected()
    with _alone_in(store):
        ledger = Ledger.load(store / "place.json")
        if from_start:
            ledger = replace(ledger, place=StreamCursor())
        with mapped_errors():
            length = int(client.xlen(events_key(app)))
        with tqdm(total=length, desc="collect", unit="record", unit_scale=True, disable=None) as progress:
            for parts in _groups(client, app, ledger.place):
                _add(store, parts, collected)
                for entries in parts:
                    ledger = ledger.after(entries)
                ledger.save(store / "place.json")
                progress.update(sum(len(entries.ids) for entries in parts))
    return collected


def bring_traffic(home: Home, app: str, folder: Path) -> list[str]:
    """Link the application's partitions into the folder that `ingest.traffic` of a workspace names; the days that
    changed there.

    Linked are the files, not their names: a collection puts a new file in place, and a run goes on with what it began
    with. Nothing is removed. Where links cannot be made, files are copied.
    """
    store, changed = store_of(home, app), set()
    if not store.exists():
        return []
    with _alone_in(store):
        for name in TABLES:
            for source in day_files(store / name):
                target = folder / app / name / source.name
                if not _is_same(source, target):
                    _link(source, target)
                    changed.add(source.stem)
    return sorted(changed)


@dataclass(frozen=True)
class Day:
    """How many rows of a day were collected, by table."""

    day: str
    rows: dict[str, int]


def collected_days(home: Home, app: str) -> list[Day]:
    """What is kept of each day."""
    counts: dict[str, dict[str, int]] = {}
    for name in LOGGED:
        for path in day_files(store_of(home, app) / name):
            counts.setdefault(path.stem.removeprefix("day="), dict.fromkeys(LOGGED, 0))[name] = n_rows(path)
    return [Day(day, rows) for day, rows in sorted(counts.items())]


def _groups(client: Client, app: str, cursor: StreamCursor) -> Iterator[list[NextEntries]]:
    """The entries of the log behind a cursor, until its end is reached, some ROWS_AT_ONCE records at a time."""
    group: list[NextEntries] = []
    at_end = False
    while not at_end:
        entries = read_next(client, events_key(app), events_written_key(app), cursor)
        cursor, at_end = entries.cursor, len(entries.ids) < BATCH_LENGTH
        group.append(entries)
        if at_end or sum(len(one.ids) for one in group) >= ROWS_AT_ONCE:
            yield group
            group = []


def _add(store: Path, parts: list[NextEntries], collected: Collected) -> None:
    read = [rows_of(one.ids, one.records) for one in parts]
    for name in LOGGED:
        for file, count in add_rows(store / name, pl.concat([tables[name] for tables in read])).items():
            collected.rows[name] += count
            collected.days.add(file.removeprefix("day=").removesuffix(".parquet"))
    collected.n_read += sum(len(one.ids) for one in parts)
    collected.n_lost += sum(one.n_lost for one in parts)
    collected.is_other |= any(one.is_other for one in parts)


@contextmanager
def _alone_in(store: Path) -> Iterator[None]:
    """Wait for whoever else writes or reads the partitions as a whole; a lock of the system, which a kill ends."""
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(store / ".lock"):
        yield


def _is_same(source: Path, target: Path) -> bool:
    if not target.exists():
        return False
    one, other = source.stat(), target.stat()
    is_link = (one.st_ino, one.st_dev) == (other.st_ino, other.st_dev)
    return is_link or (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _link(source: Path, target: Path) -> None:
    with whole_file(target) as unfinished:
        try:
            os.link(source, unfinished)
        except OSError:  # another file system, or one without links
            shutil.copy2(source, unfinished)
