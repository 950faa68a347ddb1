"""Source `files`: reads a team's own export into the canonical tables, by the mapping in params.yaml.

A row that cannot be read is set aside with file, row, column and reason. An error of a whole file stops the run.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo

import polars as pl

from contracts.attributes import PREFIX, with_attributes
from contracts.counted import counted
from contracts.errors import SourceError
from contracts.events import EventType
from contracts.progress import Progress
from contracts.settings.files import (
    FROM_FILE_NAME,
    AttributeColumn,
    Files,
    InteractionFiles,
    ItemFiles,
    TableFiles,
)
from contracts.tables import GUEST, SCHEMAS, write_parquet
from sources.archives import unpack
from sources.canonical.canonical import ENTITY_KEYS, conform
from sources.canonical.categories import category_columns, with_all_categories
from sources.canonical.event_sorter import EventSorter
from sources.canonical.ingest_report import IngestReport
from sources.canonical.origins import ORIGIN, save_origins
from sources.canonical.refusals import Refusals, save_refusals
from sources.canonical.repeats import LatestCells, fold_repeats
from sources.files.conditions import any_holds, kept_rows
from sources.files.data_files import DataFile, find_files
from sources.files.entity_ids import EntityIds
from sources.files.formats.row_batch import RawRows
from sources.files.id_columns import IdColumns, IdWriting, PointsMustStay
from sources.files.list_rows import exploded
from sources.files.raw_rows import columns_of, read_rows
from sources.files.typed_columns import BatchSource, typed
from sources.traffic.served_traffic import NO_TRAFFIC, ServedTraffic

ID_COLUMNS: Final = ("user_id", "item_id", "session_id", "request_id")
# What a file of interactions may say, beside the canonical columns.
# The place of a row in its batch: rows that come out of one list have one number in the file.
PLACE: Final = "place in the batch"
EXPORTED: Final = pl.Schema({**SCHEMAS["interactions"], "quantity": pl.Float64(), PLACE: pl.Int32()})
ATTRIBUTE_TYPES: Final = {"text": pl.String(), "number": pl.Float64(), "boolean": pl.Boolean()}
_BESIDE: Final = BatchSource("items", "", is_first=False)
DATE_IN_NAME: Final = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")


def write_tables(files: Files, root: str, folder: Path, traffic: ServedTraffic = NO_TRAFFIC) -> IngestReport:
    """Read an export into `folder`: the tables, the origin of each row, the refused rows and the report.

    root: `ingest.path` as an absolute path or URL; a zip is unpacked first. traffic: joined to what the files hold.
    Equal files give equal bytes.
    Raises SourceError, naming file, row and column, for an error of a whole file.
    """
    with _unpacked(root) as unpacked:
        writings = {name: IdWriting() for name in ID_COLUMNS}
        while True:
            try:
                return _ExportReader(files, unpacked, folder, traffic, writings).read()
            except PointsMustStay:  # once for each kind of id at most: it is known from then on
                for writing in writings.values():
                    writing.forget_examples()


class _ExportReader:
    """Reads one export into a folder, table by table."""

    def __init__(
        self, files: Files, root: str, folder: Path, traffic: ServedTraffic, writings: Mapping[str, IdWriting]
    ) -> None:
        self._files = files
        self._traffic = traffic
        self._root = root
        self._folder = folder
        self._refusals = Refusals()
        self._ids = EntityIds()
        self._writings = writings
        self._report = IngestReport()
        items = files.items
        self._items_beside = LatestCells() if items is not None and items.from_ == "interactions" else None

    def read(self) -> IngestReport:
        """Read all tables. Raises PointsMustStay where they must be read again, of which `writings` know then."""
        self.interactions()
        for name in ("items", "users"):
            self.entities(name)
        self.impressions()
        return self.finish()

    def interactions(self) -> None:
        with closing(EventSorter(self._folder / "unsorted.part")) as sorter:
            for place, settings in enumerate(self._files.interactions):
                where = "interactions" if len(self._files.interactions) == 1 else f"interactions.{place}"
                self._read_interactions(settings, where, sorter)
            if not sorter.n_rows:
                raise SourceError(
                    f"Of {counted(self._report.files['interactions'], 'file')} no row is left as an interaction"
                    f"{self._refusals.first_words()}.",
                    "Look at the mapping under ingest.files.interactions in params.yaml.",
                )
            for name, batch in self._traffic.interactions():
                self._ids.add(batch)
                sorter.add(batch, name)
            sorter.write(self._folder)
            self._report.rows["interactions"] = sorter.n_rows

    def _read_interactions(self, settings: InteractionFiles, where: str, sorter: EventSorter) -> None:
        beside = _mapped_columns(self._files.items) if self._items_beside and self._files.items else {}
        for file, batch_rows, is_first in self._raw_batches(where, settings, optional=frozenset(beside.values())):
            raw = _with_places(batch_rows)
            batch = BatchSource("interactions", file.name, is_first)
            rows = typed(raw, {**_mapped_columns(settings), PLACE: PLACE}, EXPORTED, settings, batch, self._refusals)
            events = self._as_events(rows, raw, file, settings)
            self._ids.add(events)
            if self._items_beside is not None:
                self._items_beside.add(self._described(events, raw, beside, settings))
            sorter.add(events.drop(PLACE), file.name)

    def _as_events(self, rows: pl.DataFrame, raw: RawRows, file: DataFile, settings: InteractionFiles) -> pl.DataFrame:
        """The rows of a batch as interactions, with `row` and PLACE."""
        returned = raw.table[PLACE].filter(any_holds(settings.returns, raw.table, settings))
        timed = rows if settings.event_ts is None else rows.with_columns(event_ts=pl.lit(_time_of(file, settings)))
        events = self._with_event_types(timed, settings)
        is_return = pl.col(PLACE).is_in(returned.implode())
        typed_events = events.with_columns(
            event_type=pl.when(is_return).then(pl.lit(str(EventType.RETURN))).otherwise("event_type")
        )
        n_returns = int(typed_events.select((pl.col("event_type") == str(EventType.RETURN)).sum()).item())
        self._report.count("returns", n_returns)
        return self._with_guests(_with_cost(typed_events), settings)

    def _with_guests(self, events: pl.DataFrame, settings: InteractionFiles) -> pl.DataFrame:
        """Rows of nobody known belong to the guest of their session, where the mapping says so."""
        if settings.anonymous is None:
            return events
        is_guest = pl.col("user_id").is_null() & pl.col("session_id").is_not_null()
        self._report.count("guests' rows", int(events.select(is_guest.sum()).item()))
        return events.with_columns(user_id=pl.when(is_guest).then(GUEST + pl.col("session_id")).otherwise("user_id"))

    def _described(
        self, events: pl.DataFrame, raw: RawRows, beside: Mapping[str, str], settings: InteractionFiles
    ) -> pl.DataFrame:
        """What rows of interactions say of their items: item_id, event_ts, and the mapped columns that are there."""
        there = {PLACE: PLACE} | {ours: theirs for ours, theirs in beside.items() if theirs in raw.table.columns}
        unread = Refusals()  # a cell that is no price says nothing of the item; its event counts all the same
        items = self._items_written_like(settings)
        described = pl.Schema({**_exported("items", items), PLACE: pl.Int32()})
        said = typed(raw, there, described, items, _BESIDE, unread).drop("row")
        rows = events.select("item_id", "event_ts", PLACE)
        return rows.join(said, on=PLACE, how="inner", maintain_order="left").drop(PLACE)

    def _items_written_like(self, settings: InteractionFiles) -> ItemFiles:
        """The settings of items that stand in the files of interactions."""
        items = cast("ItemFiles", self._files.items)
        return items.model_copy(update={name: getattr(settings, name) for name in TableFiles.model_fields})

    def entities(self, name: str) -> None:
        """Read `items` or `users`, or make them of the interactions."""
        settings: TableFiles | None = getattr(self._files, name)
        if name == "items" and self._items_beside is not None:
            said = with_attributes(with_all_categories(self._items_beside.table()))
            described = self._ids.items().select("item_id").join(said, on="item_id", how="left")
            table = conform(_with_all_titles(described), name)
            columns = ", ".join(column for column in described.columns if column != "item_id")
            says = f"derived from the interactions: the latest {columns} that is not empty"
            self._report.made_from_interactions[name] = says
        elif settings is None:
            table = conform(self._ids.items() if name == "items" else self._ids.users(), name)
            self._report.made_from_interactions[name] = "derived from the interactions: ids alone"
        else:
            table = self._read_entities(name, settings)
        write_parquet(table, self._folder / f"{name}.parquet")
        self._report.rows[name] = len(table)

    def _read_entities(self, name: str, settings: TableFiles) -> pl.DataFrame:
        read = [rows.with_columns(file=pl.lit(file.name)) for file, rows in self._batches(name, settings)]
        whole = pl.concat(read) if read else pl.DataFrame(schema={"file": pl.String, "row": pl.Int64})
        folded = fold_repeats(whole, ENTITY_KEYS[name])
        self._report.count(f"{name} that repeat an id", len(whole) - len(folded))
        named = conform(with_attributes(with_all_categories(_with_titles(folded))) if name == "items" else folded, name)
        if name == "users":
            named = self._traffic.with_new_people(self._with_guests_among(named))
        save_origins(named.select(ORIGIN), self._folder, name)
        return named.drop(ORIGIN)

    def _with_guests_among(self, users: pl.DataFrame) -> pl.DataFrame:
        """The people of a file, and the guests of the interactions, whom no file of people knows."""
        if users.is_empty() or all(settings.anonymous is None for settings in self._files.interactions):
            return users
        guests = self._ids.users().filter(pl.col("user_id").str.starts_with(GUEST))
        added = guests.join(users, on="user_id", how="anti")
        self._report.guests = len(added)
        return conform(pl.concat([users, added], how="diagonal"), "users")

    def impressions(self) -> None:
        """Read `impressions`, where a file or the traffic has any."""
        settings = self._files.impressions
        with closing(EventSorter(self._folder / "unsorted.part", name="impressions")) as sorter:
            for file, batch in self._batches("impressions", settings) if settings else ():
                sorter.add(batch, file.name)
            for name, batch in self._traffic.impressions():
                sorter.add(batch, name)
            if sorter.n_rows:
                sorter.write(self._folder)
                self._report.rows["impressions"] = sorter.n_rows

    def finish(self) -> IngestReport:
        self._report.served = self._traffic.counts()
        self._report.ids = dict(said for writing in self._writings.values() for said in writing.sentences())
        refused = self._refusals.table()
        save_refusals(refused, self._folder)
        self._report.refused = dict(sorted(refused["table"].value_counts().iter_rows()))
        self._report.save(self._folder)
        return self._report

    def _batches(self, name: str, settings: TableFiles) -> Iterator[tuple[DataFile, pl.DataFrame]]:
        """Each batch of a table's files in canonical columns and types, with `row`."""
        for file, raw, is_first in self._raw_batches(name, settings):
            batch = BatchSource(name, file.name, is_first)
            columns, schema = _mapped_columns(settings), _exported(name, settings)
            yield file, typed(raw, columns, schema, settings, batch, self._refusals)

    def _raw_batches(
        self, where: str, settings: TableFiles, optional: frozenset[str] = frozenset()
    ) -> Iterator[tuple[DataFile, RawRows, bool]]:
        """Each batch of the rows that a mapping reads, as text, and whether it is its file's first.

        where: the mapping's place under ingest.files; optional: columns of the export that are read where they are.
        """
        name, columns = where.split(".", maxsplit=1)[0], _mapped_columns(settings)
        needed = dict.fromkeys([*columns.values(), *settings.tested_columns, *settings.explode])
        ids = {ours: theirs for ours, theirs in columns.items() if ours in ID_COLUMNS}
        texts = IdColumns(ids, settings, self._writings)
        files = find_files(self._root, settings.path)
        self._report.files[name] = self._report.files.get(name, 0) + len(files)
        left_out: Counter[str] = Counter(self._report.conditions.get(where, {}))
        present: set[str] = set()
        unended: list[str] = []
        for file in Progress(files, desc=name, unit="file"):
            wanted = [*needed, *sorted(optional & columns_of(file, settings) - set(needed))] if optional else [*needed]
            for position, raw in enumerate(read_rows(file, settings, wanted)):
                present |= set(raw.table.columns) - raw.absent
                rows = exploded(raw, settings.explode, file.name)
                yield file, kept_rows(texts.as_texts(rows), settings, left_out), position == 0
                self._check_last_row(name, file, raw)
                unended += [file.name] if raw.unended else []
        if 0 < len(unended) < len(files):
            self._report.unended[name] = unended
        if left_out:
            self._report.conditions[where] = dict(sorted(left_out.items()))
        missing = [source for source in needed if source not in present]
        if missing:
            raise SourceError(
                f"No file of {name} has `{missing[0]}`; {counted(len(files), 'file was', 'files were')} looked at.",
                f"Mend the column mapping under ingest.files.{where} in params.yaml.",
            )

    def _check_last_row(self, name: str, file: DataFile, raw: RawRows) -> None:
        """Raise SourceError where a file ends within a row that could not be read: it was cut short."""
        refused = None if raw.unended is None else self._refusals.of_row(name, file.name, raw.unended)
        if refused is not None:
            raise SourceError(
                f"{file.name}, row {raw.unended}: the file ends within this row: found {refused['found']!r}, "
                f"{refused['reason']}, and no line end.",
                "It was cut short on the way: export or copy it again, and compare the sizes. If that row is a remark, "
                "take it away.",
            )

    def _with_event_types(self, batch: pl.DataFrame, settings: InteractionFiles) -> pl.DataFrame:
        if settings.event_type is not None:
            return batch.with_columns(event_type=pl.lit(str(settings.event_type)))
        dropped = [word for word, ours in settings.event_types.items() if ours is None]
        is_dropped = pl.col("event_type").is_in(dropped)
        counts = Counter(dict(batch.filter(is_dropped)["event_type"].value_counts().iter_rows()))
        self._report.left_out = dict(sorted((Counter(self._report.left_out) + counts).items()))
        words = {word: str(ours) for word, ours in settings.event_types.items() if ours is not None}
        # A word that is not mapped stays as it is: validation knows it, or puts its rows into quarantine.
        return batch.filter(~is_dropped.fill_null(value=False)).with_columns(pl.col("event_type").replace(words))


def _mapped_columns(settings: Any) -> Mapping[str, str]:
    columns = {ours: theirs for ours, theirs in settings.columns.model_dump().items() if theirs is not None}
    columns |= category_columns(columns.get("categories"))
    return columns | {PREFIX + name: one.column for name, one in _attributes(settings).items()}


def _exported(name: str, settings: TableFiles) -> pl.Schema:
    """The columns of a table as an export may say them: each attribute of an item in one of its own."""
    attributes = {PREFIX + ours: ATTRIBUTE_TYPES[one.type] for ours, one in _attributes(settings).items()}
    categories = dict.fromkeys(category_columns(_categories(settings)), pl.List(pl.String))
    return pl.Schema({**SCHEMAS[name], **categories, **attributes})


def _categories(settings: TableFiles) -> str | tuple[str, ...] | None:
    return settings.columns.categories if isinstance(settings, ItemFiles) else None


def _attributes(settings: TableFiles) -> Mapping[str, AttributeColumn]:
    return settings.attributes if isinstance(settings, ItemFiles) else {}


def _with_places(raw: RawRows) -> RawRows:
    return replace(raw, table=raw.table.with_columns(pl.int_range(len(raw.table), dtype=pl.Int32).alias(PLACE)))


def _with_cost(events: pl.DataFrame) -> pl.DataFrame:
    """What a row cost, whichever way it went; with a quantity, the price of one times how many."""
    if "quantity" in events.columns:
        return events.with_columns(value=pl.col("value") * pl.col("quantity").abs()).drop("quantity")
    if "value" not in events.columns:
        return events
    is_return = pl.col("event_type") == str(EventType.RETURN)
    return events.with_columns(value=pl.when(is_return).then(pl.col("value").abs()).otherwise("value"))


def _time_of(file: DataFile, settings: InteractionFiles) -> datetime:
    """The time of every row of a file whose rows say none."""
    zone = ZoneInfo(settings.time_zone or "UTC")
    if isinstance(settings.event_ts, datetime):
        moment = settings.event_ts
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    try:
        year, month, day = map(int, DATE_IN_NAME.findall(file.name)[0])
        return datetime(year, month, day, tzinfo=zone).astimezone(UTC)
    except (IndexError, ValueError) as error:
        raise SourceError(
            f"{file.name} has no date in its name, such as 2024-01-31 or 20240131.",
            f"Rename it, or set `event_ts` under ingest.files.interactions to a moment instead of `{FROM_FILE_NAME}`.",
        ) from error


def _with_titles(items: pl.DataFrame) -> pl.DataFrame:
    return items if "title" in items.columns or items.is_empty() else items.with_columns(title=pl.col("item_id"))


def _with_all_titles(items: pl.DataFrame) -> pl.DataFrame:
    """Items that events describe: one that none of them names is called by its id, and keeps its events."""
    named = _with_titles(items)
    return named if named.is_empty() else named.with_columns(title=pl.coalesce("title", "item_id"))


@contextmanager
def _unpacked(root: str) -> Iterator[str]:
    if not root.endswith(".zip") or not Path(root).is_file():
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="slatework-") as folder:
        unpack(Path(root), Path(folder), lambda _: True)
        yield folder
