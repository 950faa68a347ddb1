"""How fast, and in how much memory, are events validated? Good ones, and one in a thousand that breaks a rule.

    python -m bench.validate [--events N]

Makes the events in a folder that is thrown away; the validation alone is measured, in a process of its own. The limit
is 60 s at Y = 5 ms (see `bench.yardstick`) and 4 GiB for 25 million events on two cores; the ratios are shares of it,
for as many events as there were, on this machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import trange

from bench.report import print_figures, print_table
from bench.yardstick import QUICK_Y_MS, yardstick_ms
from contracts.settings.settings import load_settings
from contracts.tables import ITEMS_SCHEMA, USERS_SCHEMA, write_parquet
from pipelines.stage_run import peak_memory_mib
from sources.canonical.canonical import conform
from sources.canonical.event_sorter import EventSorter

N_PEOPLE, N_ITEMS = 1_000_000, 100_000
ROWS_PER_BATCH = 1_000_000
LIMIT_EVENTS, LIMIT_SECONDS, LIMIT_GIB = 25_000_000, 60.0, 4.0
WORDS = ["view", "click", "add_to_cart", "purchase"]
NOW = datetime(2024, 1, 1, tzinfo=UTC)
SEED = 1


def main() -> None:
    """Make the events, validate them, and print seconds, peak memory and their shares of the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_500_000)
    events, y_ms = parser.parse_args().events, yardstick_ms()
    with tempfile.TemporaryDirectory(prefix="slatework-") as name:
        folder = Path(name)
        _write_tables(folder, events)
        measured = _in_a_child(folder)
    limit_s = LIMIT_SECONDS * y_ms / QUICK_Y_MS
    figures = {
        "yardstick_ms": round(y_ms, 2),
        "events": events,
        "seconds": round(measured["seconds"], 1),
        "peak_gib": round(measured["peak_gib"], 2),
        "limit_seconds_ratio": round(measured["seconds"] / (limit_s * events / LIMIT_EVENTS), 2),
        "limit_gib_ratio": round(measured["peak_gib"] / LIMIT_GIB, 2),
        "quarantined": measured["quarantined"],
    }
    print_table(list(figures), [list(figures.values())])
    print_figures("validate", figures, data="made up: a million people, a hundred thousand items, a year", seed=SEED)


def _in_a_child(folder: Path) -> dict[str, float]:
    # The peak of a process counts all it ever held, and making the events is none of validation's.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_validate, args=(folder, sender))
    child.start()
    sender.close()
    measured: dict[str, float] = json.loads(receiver.recv())
    child.join()
    return measured


def _validate(folder: Path, sender: Connection) -> None:
    started = time.perf_counter()
    # Great Expectations' seconds of import are part of what a stage waits for.
    from sources.validation.baseline import Baseline
    from sources.validation.table_check import RowFolders
    from sources.validation.validation import check_tables, scan_tables

    folders = RowFolders(folder / "valid", folder / "quarantine")
    for empty in (folders.valid, folders.quarantine):
        empty.mkdir()
    settings = load_settings().validate_
    validation = check_tables(scan_tables(folder), settings, folders, baseline=Baseline(), now=NOW)
    validation.raise_failures()
    figures = {
        "seconds": time.perf_counter() - started,
        "peak_gib": peak_memory_mib() / 1024,
        "quarantined": validation.tables["interactions"].n_quarantined,
    }
    sender.send(json.dumps(figures))


def _write_tables(folder: Path, n_events: int) -> None:
    rng = np.random.default_rng(SEED)
    users = pl.DataFrame({"user_id": [f"u{one}" for one in range(N_PEOPLE)]})
    items = pl.DataFrame({"item_id": [f"i{one}" for one in range(N_ITEMS)]}).with_columns(title=pl.col("item_id"))
    write_parquet(conform(users, "users").select(USERS_SCHEMA.names()), folder / "users.parquet")
    write_parquet(conform(items, "items").select(ITEMS_SCHEMA.names()), folder / "items.parquet")
    sorter = EventSorter(folder / "unsorted.part")
    for part in trange(-(-n_events // ROWS_PER_BATCH), desc="events", disable=None):
        n = min(ROWS_PER_BATCH, n_events - part * ROWS_PER_BATCH)
        sorter.add(_events(rng, n), f"{part:05}")
    sorter.write(folder)
    sorter.close()


def _events(rng: np.random.Generator, n: int) -> pl.DataFrame:
    seconds = 1_650_000_000 + rng.integers(365 * 86_400, size=n)
    table = pl.DataFrame(
        {
            "user_id": rng.integers(N_PEOPLE, size=n),
            "item_id": rng.integers(N_ITEMS, size=n),
            "event_type": rng.choice(WORDS, n),
            "event_ts": seconds * 1_000_000,
            "value": np.where(rng.random(n) < 0.001, -1.0, (0.5 + 4.5 * rng.random(n)).round(2)),
            "session_id": rng.integers(n // 5 + 1, size=n),
        }
    )
    return table.select(
        pl.format("u{}", "user_id").alias("user_id"),
        pl.format("i{}", "item_id").alias("item_id"),
        "event_type",
        pl.col("event_ts").cast(pl.Datetime("us", "UTC")),
        "value",
        pl.format("s{}", "session_id").alias("session_id"),
        pl.lit(None, pl.String).alias("request_id"),
        pl.int_range(pl.len()).cast(pl.Int64).alias("row"),
    )


if __name__ == "__main__":
    main()
