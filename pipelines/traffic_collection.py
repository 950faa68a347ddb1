"""Collects served traffic: from the event log in Redis into day partitions, and from these into a workspace.

    SLATE_HOME/traffic/<app>/impressions/day=2026-11-24.parquet
    SLATE_HOME/traffic/<app>/interactions/day=2026-11-24.parquet
    SLATE_HOME/traffic/<app>/unreadable/day=2026-11-24.parquet     records that are none, as text, with the reason
    SLATE_HOME/traffic/<app>/place.json                            the cursor in the stream, and what was lost

    <workspace>/traffic/<app>/{impressions,interactions}/           hard links to the first two: what `ingest` reads

The partitions are the record; the cursor only saves time. It is written after them, and a row that comes again changes
nothing, so a collector may be killed, run twice, or lose its cursor (docs/adr/0017-served-traffic.md).

This is no stage. It reads the event log (feature_store) and writes day partitions (sources), which must not know each
other: pipelines is the lowest room that may import both.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from contracts.errors import StoreError
from contracts.file_lock import locked
from contracts.home import Home
from contracts.json_file import write_json
from contracts.progress import Progress
from contracts.whole_files import whole_file
from feature_store.online.connection import Client, mapped_errors
from feature_store.online.event_stream import BATCH_LENGTH, NextEntries, StreamCursor, read_next
from feature_store.online.keys import events_key, events_written_key
from sources.traffic.day_partitions import add_rows, day_files, n_rows
from sources.traffic.logged_records import LOGGED, rows_by_table

PROGRESS = "place.json"
ROWS_AT_ONCE = 100_000  # records read between two writes: some 60 MB
TABLES = ("impressions", "interactions")  # what a workspace gets


@dataclass
class TrafficCollection:
    """What one collection did. rows: new ones by table; days: those that changed.

    n_lost: records that were cut off before they were read; is_other: Redis was emptied or restored since the last
    collection, and what was lost with it is not known.
    """

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
class CollectionProgress:
    """How far the stream was read, and what was lost since the first collection."""

    cursor: StreamCursor = field(default_factory=StreamCursor)
    n_lost: int = 0
    n_other: int = 0

    @classmethod
    def load(cls, path: Path) -> CollectionProgress:
        """What was saved; the beginning where nothing was, or nothing that can be read."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(StreamCursor(**content["place"]), content.get("n_lost", 0), content.get("n_other", 0))
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            print(f"{path} is damaged ({error}): the event log is read from its beginning.", file=sys.stderr)
            return cls()

    def save(self, path: Path) -> None:
        content = {"place": asdict(self.cursor), "n_lost": self.n_lost, "n_other": self.n_other}
        write_json(content, path)

    def after(self, entries: NextEntries) -> CollectionProgress:
        return CollectionProgress(entries.cursor, self.n_lost + entries.n_lost, self.n_other + entries.is_other)


def traffic_store(home: Home, app: str) -> Path:
    """The folder of the traffic that was collected of an application."""
    return home.traffic / app


def collect_traffic(client: Client, home: Home, app: str, *, from_start: bool = False) -> TrafficCollection:
    """Add what the event log holds, from where the last collection ended, to the application's partitions.

    from_start: read all that the log still holds; what is there already changes nothing. Others that collect at the
    same time are waited for. Shows a progress bar where stderr is a terminal. Raises StoreError.
    """
    store, collection = traffic_store(home, app), TrafficCollection()
    with _store_lock(store):
        progress = CollectionProgress.load(store / PROGRESS)
        if from_start:
            progress = replace(progress, cursor=StreamCursor())
        with mapped_errors():
            length = int(client.xlen(events_key(app)))
        with Progress(total=length, desc="collect", unit="record", unit_scale=True) as bar:
            for parts in _groups(client, app, progress.cursor):
                _add(store, parts, collection)
                for entries in parts:
                    progress = progress.after(entries)
                progress.save(store / PROGRESS)
                bar.update(sum(len(entries.ids) for entries in parts))
    return collection


def link_traffic(home: Home, app: str, folder: Path) -> list[str]:
    """Link the application's partitions into `folder`, which `ingest.traffic` of a workspace names; returns the days
    that changed there.

    The links are hard: a later collection puts a new file in place of the old, and a run keeps what it began with.
    Nothing is removed. Where links cannot be made, files are copied.
    """
    store, changed = traffic_store(home, app), set()
    if not store.exists():
        return []
    with _store_lock(store):
        for name in TABLES:
            for source in day_files(store / name):
                target = folder / app / name / source.name
                if not _is_same(source, target):
                    _link(source, target)
                    changed.add(source.stem)
    return sorted(changed)


@dataclass(frozen=True)
class DayCounts:
    """How many rows of a day were collected, by table."""

    day: str
    rows: dict[str, int]


def collected_days(home: Home, app: str) -> list[DayCounts]:
    """What was collected of each day."""
    counts: dict[str, dict[str, int]] = {}
    for name in LOGGED:
        for path in day_files(traffic_store(home, app) / name):
            counts.setdefault(path.stem.removeprefix("day="), dict.fromkeys(LOGGED, 0))[name] = n_rows(path)
    return [DayCounts(day, rows) for day, rows in sorted(counts.items())]


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


def _add(store: Path, parts: list[NextEntries], collection: TrafficCollection) -> None:
    read = [rows_by_table(one.ids, one.records) for one in parts]
    for name in LOGGED:
        for file, count in add_rows(store / name, pl.concat([tables[name] for tables in read])).items():
            collection.rows[name] += count
            collection.days.add(file.removeprefix("day=").removesuffix(".parquet"))
    collection.n_read += sum(len(one.ids) for one in parts)
    collection.n_lost += sum(one.n_lost for one in parts)
    collection.is_other |= any(one.is_other for one in parts)


def _store_lock(store: Path) -> AbstractContextManager[None]:
    """One at a time writes the partitions, or links them; a kill ends the lock."""
    return locked(store / ".lock")


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
