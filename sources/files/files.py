"""Source `files`: a team's own export, read as the mapping in params.yaml says, into the canonical tables.

Rows that cannot be read are set aside with file, row, column and reason; what is a file's fault stops the run.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from contracts.errors import SourceError
from contracts.settings.files import Files, InteractionFiles, TableFiles
from contracts.tables import SCHEMAS, write_parquet
from sources.archives import unpack
from sources.canonical.canonical import conform
from sources.canonical.event_spool import Spool
from sources.canonical.origins import ORIGIN, save_origins
from sources.canonical.refusals import Refusals, save_refusals
from sources.files.data_files import DataFile, find_files
from sources.files.derived_tables import Seen
from sources.files.raw_rows import read_rows
from sources.files.typed_columns import Place, typed
from sources.traffic.served_traffic import NO_TRAFFIC, ServedTraffic

REPORT = "report.json"


@dataclass
class Report:
    """What came in. rows: by table; files: how many by table; refused: rows that could not be read, by table.

    left_out: interactions by the word of their event type that the mapping leaves out; derived: tables that no file
    held, and what they were made of; served: what of the rows is served traffic, and of how many days.
    """

    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    derived: dict[str, str] = field(default_factory=dict)
    served: dict[str, int] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the report beside the tables."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False)
        (folder / REPORT).write_text(text + "\n", encoding="utf-8")

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for name, count in self.rows.items():
            source = f" from {self.files[name]:,} file(s)" if name in self.files else ""
            derived = f", {self.derived[name]}" if name in self.derived else ""
            refused = self.refused.get(name, 0)
            aside = f"; {refused:,} more cannot be read and go to quarantine" if refused else ""
            yield f"{count:,} {name}{source}{derived}{aside}"
        if self.left_out:
            words = ", ".join(f"{word} {count:,}" for word, count in self.left_out.items())
            yield f"left out, as event_types says: {words}"
        if self.served:
            words = ", ".join(f"{count:,} {name}" for name, count in self.served.items())
            yield f"of these, served traffic: {words}"


def write_tables(files: Files, root: str, folder: Path, traffic: ServedTraffic = NO_TRAFFIC) -> Report:
    """Read an export into `folder`: the tables, the origin of each row, the refused rows and the report.

    root: `ingest.path` as an absolute path or URL; a zip is unpacked first. traffic: joined to what the files hold.
    The same bytes give the same bytes.
    Raises SourceError, naming file, row and column, for what no single row is to blame for.
    """
    with _unpacked(root) as place:
        reading = _Reading(files, place, folder, traffic)
        reading.interactions()
        for name in ("items", "users"):
            reading.entities(name)
        reading.impressions()
        return reading.finish()


class _Reading:
    """One export on its way into a folder."""

    def __init__(self, files: Files, root: str, folder: Path, traffic: ServedTraffic) -> None:
        self._files = files
        self._traffic = traffic
        self._root = root
        self._folder = folder
        self._refusals = Refusals()
        self._seen = Seen()
        self._report = Report()

    def interactions(self) -> None:
        settings = self._files.interactions
        spool = Spool(self._folder / "spool.part")
        try:
            for file, batch in self._batches("interactions", settings):
                events = self._with_event_types(batch, settings)
                self._seen.add(events)
                spool.add(events, file.name)
            if not spool.n_rows:
                raise SourceError(
                    f"Of {self._report.files['interactions']:,} file(s) no row is left as an interaction"
                    f"{self._refusals.first_words()}.",
                    "Look at the mapping under ingest.files.interactions in params.yaml.",
                )
            for name, batch in self._traffic.interactions():
                self._seen.add(batch)
                spool.add(batch, name)
            spool.write(self._folder)
            self._report.rows["interactions"] = spool.n_rows
        finally:
            spool.close()

    def entities(self, name: str) -> None:
        """Read `items` or `users`, or derive them."""
        settings: TableFiles | None = getattr(self._files, name)
        if settings is None:
            table = conform(self._seen.items() if name == "items" else self._seen.users(), name)
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
        spool = Spool(self._folder / "spool.part", name="impressions")
        try:
            for file, batch in self._batches("impressions", settings) if settings else ():
                spool.add(batch, file.name)
            for name, batch in self._traffic.impressions():
                spool.add(batch, name)
            if spool.n_rows:
                spool.write(self._folder)
                self._report.rows["impressions"] = spool.n_rows
        finally:
            spool.close()

    def finish(self) -> Report:
        self._report.served = self._traffic.counts()
        refused = self._refusals.table()
        save_refusals(refused, self._folder)
        self._report.refused = dict(sorted(refused["table"].value_counts().iter_rows()))
        self._report.save(self._folder)
        return self._report

    def _batches(self, name: str, settings: TableFiles) -> Iterator[tuple[DataFile, pl.DataFrame]]:
        """Each batch of a table's files in canonical columns and types, with `row`."""
        columns = _mapped(settings)
        found = find_files(self._root, settings.path)
        self._report.files[name] = len(found)
        told: set[str] = set()
        for file in tqdm(found, desc=name, unit="file", disable=None):
            is_first = True
            for raw in read_rows(file, settings, list(dict.fromkeys(columns.values()))):
                place = Place(name, file.name, is_first)
                told |= set(raw.table.columns) - raw.absent
                yield file, typed(raw, columns, SCHEMAS[name], settings, place, self._refusals)
                is_first = False
        never = [source for source in columns.values() if source not in told]
        if never:
            raise SourceError(
                f"None of the {len(found):,} file(s) of {name} has `{never[0]}`.",
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
        # A word nobody mapped stays as it is: validation knows it, or puts its rows aside.
        return batch.filter(~is_dropped.fill_null(value=False)).with_columns(pl.col("event_type").replace(words))


def _mapped(settings: Any) -> Mapping[str, str]:
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
