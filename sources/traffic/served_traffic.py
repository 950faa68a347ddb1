"""Served traffic as it was collected; `ingest` joins it to the tables of any source.

    <folder>/impressions/day=2026-11-24.parquet     see `day_partitions` and `logged_records`
    <folder>/interactions/day=2026-11-24.parquet

A guest, of whom only a session is known, is the person `session:<session_id>`. A signup without an item is no
interaction; it becomes the `signup_ts` of a person whom the source does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from contracts.events import EventType
from contracts.tables import GUEST, SCHEMAS, UTC_TIME
from sources.canonical.canonical import conform
from sources.traffic.day_partitions import day_files, n_rows, row_groups

_PERSON = pl.coalesce("user_id", pl.concat_str(pl.lit(GUEST), "session_id"))
_IS_SIGNUP = (pl.col("event_type") == str(EventType.SIGNUP)) & pl.col("item_id").is_null()


@dataclass(frozen=True)
class ServedTraffic:
    """The traffic in a folder; none where the folder is not there, or is None."""

    folder: Path | None = None

    def counts(self) -> dict[str, int]:
        """How many days there are, and rows in them; nothing where there is none."""
        files = {name: self._day_files(name) for name in ("interactions", "impressions")}
        days = {path.name for paths in files.values() for path in paths}
        rows = {name: sum(map(n_rows, paths)) for name, paths in files.items()}
        return {"days": len(days), **rows} if days else {}

    def interactions(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Batches of interactions in canonical columns, with `row`, beside the file they come from."""
        for file, batch in self._batches("interactions"):
            yield file, batch.filter(~_IS_SIGNUP)

    def impressions(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """The same of impressions."""
        yield from self._batches("impressions")

    def with_new_people(self, users: pl.DataFrame) -> pl.DataFrame:
        """The people of a source, and those of the traffic whom it does not know.

        A source without people stays without: only ids of them are known.
        """
        seen = [self._people(path) for path in self._day_files("interactions")]
        if users.is_empty() or not seen:
            return users
        people = pl.concat(seen).group_by("user_id").agg(pl.col("signup_ts").min())
        new = people.filter(pl.col("user_id").is_not_null()).join(users, on="user_id", how="anti")
        return conform(pl.concat([users, new], how="diagonal"), "users")

    def _people(self, path: Path) -> pl.DataFrame:
        signup = pl.when(pl.col("event_type") == str(EventType.SIGNUP)).then("event_ts").otherwise(None)
        parts = [
            group.group_by(_PERSON).agg(signup.min().cast(UTC_TIME).alias("signup_ts")) for group in row_groups(path)
        ]
        return pl.concat(parts)

    def _batches(self, name: str) -> Iterator[tuple[str, pl.DataFrame]]:
        for path in self._day_files(name):
            first = 1
            for group in row_groups(path):
                rows = pl.int_range(first, first + len(group), eager=True).alias("row")
                yield (
                    f"traffic/{name}/{path.name}",
                    group.with_columns(_PERSON).select(SCHEMAS[name].names()).hstack([rows]),
                )
                first += len(group)

    def _day_files(self, name: str) -> list[Path]:
        return day_files(self.folder / name) if self.folder else []


NO_TRAFFIC = ServedTraffic()
