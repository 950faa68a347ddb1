"""Where each row of a canonical table came from: its file and row, beside the table and in its order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from contracts.tables import write_parquet

ORIGIN = ["file", "row"]
# Beside them, of events whose times are whole days: what all cells of a row come to (sources.files.whole_days).
FINGERPRINT = "fingerprint"
ORIGIN_SCHEMA = pl.Schema({"file": pl.String(), "row": pl.Int64()})


def origin_path(folder: Path, name: str) -> Path:
    """Where the origins of a table lie, inside the folder of the tables."""
    return folder / "origins" / f"{name}.parquet"


def save_origins(origins: pl.DataFrame, folder: Path, name: str) -> None:
    """Write the origins (columns ORIGIN) of a table, aligned with it."""
    write_parquet(origins, origin_path(folder, name))


@dataclass(frozen=True)
class Origins:
    """The origins of the tables in a folder; None where none were written. Only the rows asked for are read."""

    folder: Path | None = None

    def of(self, name: str, positions: pl.Series) -> pl.DataFrame:
        """Columns ORIGIN for the rows at these positions of a table, in their order; null where unknown."""
        path = origin_path(self.folder, name) if self.folder else None
        if path is None or not path.exists() or positions.is_empty():
            unknown = {
                column: pl.repeat(None, len(positions), dtype=kind, eager=True)
                for column, kind in ORIGIN_SCHEMA.items()
            }
            return pl.DataFrame(unknown, schema=ORIGIN_SCHEMA)
        return self._gathered(path, positions, ORIGIN)

    def _gathered(self, path: Path, positions: pl.Series, columns: list[str]) -> pl.DataFrame:
        wanted = positions.cast(pl.Int64)
        first, last = int(wanted.min() or 0), int(wanted.max() or 0)  # type: ignore[arg-type]  # integers
        # The rows of a batch lie near each other: only what is between them is read.
        near = pl.scan_parquet(path).select(columns).slice(first, last - first + 1).collect()
        return near.select(pl.all().gather(wanted - first, null_on_oob=True))

    def fingerprints(self, name: str, positions: pl.Series) -> pl.Series:
        """The fingerprints of the rows at these positions of a table, in their order; null where they have none."""
        path = origin_path(self.folder, name) if self.folder else None
        if path is None or not path.exists() or FINGERPRINT not in pl.scan_parquet(path).collect_schema():
            return pl.repeat(None, len(positions), dtype=pl.UInt64, eager=True).alias(FINGERPRINT)
        return self._gathered(path, positions, [FINGERPRINT])[FINGERPRINT]

    def file_counts(self, name: str) -> dict[str, int]:
        """How many rows of a table came from each file; none where that is unknown."""
        path = origin_path(self.folder, name) if self.folder else None
        if path is None or not path.exists():
            return {}
        counts = pl.scan_parquet(path).drop_nulls("file").group_by("file").len().sort("file")
        return dict(counts.collect(engine="streaming").iter_rows())


NO_ORIGINS = Origins()
