"""How fast, and in how much memory, is a team's own export read? CSV files with their rows in no order of time.

    python -m bench.ingest [--rows N]

Makes the export in a folder that is thrown away; the reading alone is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import trange

from bench.report import print_figures, print_table
from contracts.settings.files import Files
from pipelines.stage_run import peak_memory_mib
from sources.files.export_reader import write_tables

ROWS_PER_FILE = 1_000_000
MAPPING = {
    "time_unit": "s",
    "columns": {"user_id": "who", "item_id": "what", "event_type": "did", "event_ts": "at", "value": "paid"},
    "event_types": {"seen": "view", "bought": "purchase"},
}
SEED = 1


def main() -> None:
    """Make the export, read it, and print seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="slatework-") as name:
        export, out = Path(name, "export"), Path(name, "out")
        _write_export(export, rows)
        out.mkdir()
        started = time.perf_counter()
        write_tables(Files.model_validate({"interactions": MAPPING}), str(export), out)
        seconds = time.perf_counter() - started
    figures = {"rows": rows, "seconds": round(seconds, 1), "peak_gib": round(peak_memory_mib() / 1024, 2)}
    print_table(["rows", "seconds", "peak GiB"], [(f"{rows:,}", f"{seconds:.1f}", f"{figures['peak_gib']:.2f}")])
    print_figures("ingest", figures, data="made up: a million people, a hundred thousand items, a year", seed=SEED)


def _write_export(folder: Path, rows: int) -> None:
    folder.mkdir()
    rng = np.random.default_rng(SEED)
    for part in trange(-(-rows // ROWS_PER_FILE), desc="export", disable=None):
        n = min(ROWS_PER_FILE, rows - part * ROWS_PER_FILE)
        table = {
            "who": rng.integers(1_000_000, size=n),
            "what": rng.integers(100_000, size=n),
            "did": rng.choice(["seen", "bought"], n),
            "at": 1_600_000_000 + rng.integers(365 * 86_400, size=n),
            "paid": rng.random(n).round(2),
        }
        pl.DataFrame(table).write_csv(folder / f"{part:05}.csv")


if __name__ == "__main__":
    main()
