"""Source `files`: reads a team's own export into the canonical tables, by the mapping in params.yaml.

A row that cannot be read is set aside with file, row, column and reason. An error of a whole file stops the run.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from contracts.errors import SourceError
from contracts.settings.files import Files, InteractionFiles, TableFiles
from contracts.tables import SCHEMAS, write_parquet
from sources.archives import unpack
from sources.canonical.canonical import conform
from sources.canonical.event_sorter import EventSorter
from sources.canonical.ingest_report import IngestReport
from sources.canonical.origins import ORIGIN, save_origins
from sources.canonical.refusals import Refusals, save_refusals
from sources.files.data_files import DataFile, find_files
from sources.files.entity_ids import EntityIds
from sources.files.raw_rows import read_rows
from sources.files.typed_columns import BatchSource, typed
from sources.traffic.served_traffic import NO_TRAFFIC, ServedTraffic


def write_tables(files: Files, root: str, folder: Path, traffic: ServedTraffic = NO_TRAFFIC) -> IngestReport:
    """Read an export into `folder`: the tables, the origin of each row, the refused rows and the report.

    root: `ingest.path` as an absolute path or URL; a zip is unpacked first. traffic: joined to what the files hold.
    Equal files give equal bytes.
    Raises SourceError, naming file, row and column, for an error of a whole file.
    """
    with _unpacked(root) as unpacked:
        reader = _ExportReader(files, unpacked, folder, traffic)
        reader.interactions()
        for name in ("items", "users"):
            reader.entities(name)
        reader.impressions()
        return reader.finish()


class _ExportReader:
    """Reads one export into a folder, table by table."""

    def __init__(self, files: Files, root: str, folder: Path, traffic: ServedTraffic) -> None:
        self._files = files
        self._traffic = traffic
        self._root = root
        self._folder = folder
        self._refusals = Refusals()
        self._ids = EntityIds()
        self._report = IngestReport()

    def interactions(self) -> None:
        settings = self._files.interactions
        with closing(EventSorter(self._folder / "unsorted.part")) as sorter:
            for file, batch in self._batches("interactions", settings):
                events = self._with_event_types(batch, settings)
                self._ids.add(events)
                sorter.add(events, file.name)
            if not sorter.n_rows:
                raise SourceError(
                    f"Of {self._report.files['interactions']:,} file(s) no row is left as an interaction"
                    f"{self._refusals.first_words()}.",
                    "Look at the mapping under ingest.files.interactions in params.yaml.",
                )
            for name, batch in self._traffic.interactions():
                self._ids.add(batch)
                sorter.add(batch, name)
            sorter.write(self._folder)
            self._report.rows["interactions"] = sorter.n_rows

    def entities(self, name: str) -> None:
        """Read `items` or `users`, or make them of the ids in the interactions."""
        settings: TableFiles | None = getattr(self._files, name)
        if settings is None:
            table = conform(self._ids.items() if name == "items" else self._ids.users(), name)
            self._report.derived[name] = "derived from the interactions: ids alone"
        else:
            read = [rows.with_columns(file=pl.lit(file.name)) for file, rows in self._batches(name, settings)]
            whole = pl.concat(read) if read else pl.DataFrame(schema={"file": pl.String, "row": pl.Int64})
            named = conform(_with_titles(whole) if name == "items" else whole, name)
            if name == "users":
                named = self._traffic.with_new_people(named)
            save_origins(named.select(ORIGIN), self._folder, name)
            table = named.drop(ORIGIN)
        write_parquet(table, self._folder / f"{name}.parquet")
        self._report.rows[name] = len(table)

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
        refused = self._refusals.table()
        save_refusals(refused, self._folder)
        self._report.refused = dict(sorted(refused["table"].value_counts().iter_rows()))
        self._report.save(self._folder)
        return self._report

    def _batches(self, name: str, settings: TableFiles) -> Iterator[tuple[DataFile, pl.DataFrame]]:
        """Each batch of a table's files in canonical columns and types, with `row`."""
        columns = _mapped_columns(settings)
        files = find_files(self._root, settings.path)
        self._report.files[name] = len(files)
        present: set[str] = set()
        for file in tqdm(files, desc=name, unit="file", disable=None):
            is_first = True
            for raw in read_rows(file, settings, list(dict.fromkeys(columns.values()))):
                batch = BatchSource(name, file.name, is_first)
                present |= set(raw.table.columns) - raw.absent
                yield file, typed(raw, columns, SCHEMAS[name], settings, batch, self._refusals)
                is_first = False
        missing = [source for source in columns.values() if source not in present]
        if missing:
            raise SourceError(
                f"None of the {len(files):,} file(s) of {name} has `{missing[0]}`.",
                f"Mend the column mapping under ingest.files.{name} in params.yaml.",
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
    return {ours: theirs for ours, theirs in settings.columns.model_dump().items() if theirs is not None}


def _with_titles(items: pl.DataFrame) -> pl.DataFrame:
    return items if "title" in items.columns or items.is_empty() else items.with_columns(title=pl.col("item_id"))


@contextmanager
def _unpacked(root: str) -> Iterator[str]:
    if not root.endswith(".zip") or not Path(root).is_file():
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="slatework-") as folder:
        unpack(Path(root), Path(folder), lambda _: True)
        yield folder
