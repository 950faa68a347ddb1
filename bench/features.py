"""How long does a point-in-time training table take, and what memory? Beside the same windows as SQL, pandas and Feast.

    python -m bench.features [--events N] [--small-events N] [--feast-events N]    0 leaves Feast out

A row for every event, `as_of` its own time, with 20 features: how many events, and the mean of their values, of its
person and of its item over 1, 7, 30, 90 and 365 days before, from Parquet to Parquet. People and items are drawn with a
long tail over 400 days; what the simulator makes has such a tail, and would take longer to make than to measure.

- SQL: `range between ... preceding and 1 preceding` in DuckDB over the same file, which also holds the ids as integers,
  so that no text is compared. Limit: twice our time.
- pandas (`rolling(..., closed="left")` per person and item) is run on `--small-events`, and Feast
  (`get_historical_features`, in an environment of its own, over rows computed before) on `--feast-events`: it joins
  each row with all rows of its item, and 100,000 events were more than 20 GiB could hold. Their ratios are against
  our time for as many.

Each runs in a process of its own, whose peak is measured. Growth is the time per event and doubling, at a tenth and a
hundredth of the events too. Exits 1 over 60 s at Y = 5 ms (see `bench.yardstick`) or 4 GiB at
25 million events, or under twice SQL.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from bench.publish import feast_python
from bench.report import print_figures, print_table
from bench.yardstick import QUICK_Y_MS, yardstick_ms
from contracts.features import OWNER, Entity
from feature_store.definitions.views import AggregateFunction, Aggregation, Feature, FeatureView, Source

SEED = 7
FULL = 25_000_000
MOST_SECONDS, MOST_GIB, LEAST_SQL_RATIO = 60.0, 4.0, 2.0  # seconds at QUICK_Y_MS
WINDOWS_DAYS = (1, 7, 30, 90, 365)
SPAN_US = 400 * 86_400_000_000
START_US = 1_700_000_000_000_000
EVENTS_A_PERSON, EVENTS_AN_ITEM = 25, 500
VIEWS = tuple(
    FeatureView(
        name=f"{entity}_bench_{days}d",
        entity=entity,
        source=Source.EVENTS,
        window=timedelta(days=days),
        ttl=timedelta(days=days),
        owner=OWNER,
        description="Events and their mean value.",
        features=(Feature(f"{entity}_event_count_{days}d", 0.0), Feature(f"{entity}_value_mean_{days}d")),
        aggregations=(Aggregation(AggregateFunction.COUNT), Aggregation(AggregateFunction.MEAN_VALUE)),
    )
    for entity in Entity
    for days in WINDOWS_DAYS
)


def main() -> None:
    """Measure, compare, and say whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=FULL)
    parser.add_argument("--small-events", type=int, default=250_000)
    parser.add_argument("--feast-events", type=int, default=10_000)
    parser.add_argument("--alone", choices=tuple(ALONE), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        _run_alone(ALONE[arguments.alone], arguments.folder)
    else:
        sys.exit(_compare(arguments.events, arguments.small_events, arguments.feast_events))


def _compare(n_events: int, n_small: int, n_feast: int) -> int:
    y_ms = yardstick_ms()
    with tempfile.TemporaryDirectory(prefix="bench-features-") as name:
        sizes = {n_events // 100, n_events // 10, n_events, n_small, n_feast} - {0}
        folders = {n: Path(name) / str(n) for n in sorted(sizes)}
        for n, folder in folders.items():
            _in_process("draw", folder, str(n))
        ours = {n: _in_process("ours", folder) for n, folder in folders.items()}
        sql = _in_process("sql", folders[n_events])
        pandas = _in_process("pandas", folders[n_small])
        fed = _feast(folders[n_feast]) if n_feast else None
    growth = [n for n in folders if n in {n_events // 100, n_events // 10, n_events}]
    rows = [("ours", n, ours[n]) for n in folders]
    rows += [("DuckDB SQL", n_events, sql), ("pandas", n_small, pandas)] + ([("Feast", n_feast, fed)] if fed else [])
    print_table(
        ("what", "events", "seconds", "peak GiB", "µs per event and doubling"),
        [
            (what, f"{n:,}", f"{one['seconds']:.1f}", f"{one['peak_gib']:.2f}", f"{_per_n_log_n(one, n):.3f}")
            for what, n, one in rows
        ],
    )
    main_run = ours[n_events]
    figures = {
        "yardstick_ms": round(y_ms, 2),
        "events": n_events,
        "windows": 2 * len(VIEWS),
        "seconds": round(main_run["seconds"], 1),
        "peak_gib": round(main_run["peak_gib"], 2),
        "plain_sql_ratio": round(sql["seconds"] / main_run["seconds"], 2),
        "pandas_ratio": round(pandas["seconds"] / ours[n_small]["seconds"], 2),
        "feast_ratio": fed and round(fed["seconds"] / ours[n_feast]["seconds"], 2),
        "small_events": n_small,
        "feast_events": n_feast,
        "plain_sql": sql,
        "growth_us": {n: round(_per_n_log_n(ours[n], n), 3) for n in growth},
    }
    print_figures("features", figures, data=f"{n_events:,} events drawn over 400 days", seed=SEED)
    too_much = n_events >= FULL and (
        main_run["seconds"] > MOST_SECONDS * y_ms / QUICK_Y_MS or main_run["peak_gib"] > MOST_GIB
    )
    return int(too_much or figures["plain_sql_ratio"] < LEAST_SQL_RATIO)


def _per_n_log_n(one: dict[str, float], n: int) -> float:
    return one["seconds"] * 1e6 / (n * math.log2(n))


def _in_process(what: str, folder: Path, *arguments: str) -> dict[str, float]:
    folder.mkdir(exist_ok=True)
    extra = ["--events", *arguments] if arguments else []
    ran = subprocess.run(
        [sys.executable, "-m", "bench.features", "--alone", what, "--folder", str(folder), *extra],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    figures: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return figures


def _run_alone(run: Callable[[Path], float], folder: Path) -> None:
    seconds = run(folder)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "peak_gib": peak_gib}))


def _draw(folder: Path) -> float:
    n = int(sys.argv[sys.argv.index("--events") + 1])
    rng = np.random.default_rng(SEED)
    n_people, n_items = max(n // EVENTS_A_PERSON, 1), max(n // EVENTS_AN_ITEM, 1)
    people = (rng.pareto(1.2, n) * n_people / 50).astype(np.int64) % n_people
    items = (rng.pareto(1.0, n) * n_items / 100).astype(np.int64) % n_items
    moments = np.sort(rng.integers(0, SPAN_US, n)) + START_US
    events = pl.DataFrame(
        {
            "user_id": pl.Series(people * 7).cast(pl.String) + "u",
            "item_id": pl.Series(items * 3).cast(pl.String) + "i",
            "event_type": pl.Series(["rating"]).new_from_index(0, n),
            "event_ts": pl.Series(moments).cast(pl.Datetime("us", "UTC")),
            "value": rng.integers(1, 11, n) / 2,
            "user_idx": people,
            "item_idx": items,
        }
    )
    events.write_parquet(folder / "events.parquet")
    # What each row asks: its own people and items, at its own moment.
    spine = events.select("user_id", "item_id", as_of=pl.col("event_ts"))
    spine.write_parquet(folder / "spine.parquet")
    return 0.0


def _ours(folder: Path) -> float:
    from feature_store.offline.training_table import write_training_table

    started = time.perf_counter()
    write_training_table(folder / "spine.parquet", folder / "events.parquet", VIEWS, folder / "ours.parquet")
    return time.perf_counter() - started


def _sql(folder: Path) -> float:
    import duckdb

    columns, windows = [], []
    for entity in Entity:
        for days in WINDOWS_DAYS:
            name, reach = f"{entity}_{days}", days * 86_400_000_000
            columns.append(f"count(*) over {name} {entity}_event_count_{days}d")
            columns.append(f"avg(value) over {name} {entity}_value_mean_{days}d")
            frame = f"range between {reach} preceding and 1 preceding"
            windows.append(f"{name} as (partition by {entity}_idx order by us {frame})")
    source, out = folder / "events.parquet", folder / "sql.parquet"
    started = time.perf_counter()
    with duckdb.connect(config={"temp_directory": str(folder / "spill")}) as engine:
        engine.execute("set preserve_insertion_order = false")
        events = f"select user_idx, item_idx, value, epoch_us(event_ts) us from '{source}'"
        table = f"select user_idx, item_idx, us, {', '.join(columns)} from ({events}) window {', '.join(windows)}"
        engine.execute(f"copy ({table}) to '{out}' (format parquet, compression zstd)")
    return time.perf_counter() - started


def _pandas(folder: Path) -> float:
    import pandas as pd

    started = time.perf_counter()
    events = pd.read_parquet(folder / "events.parquet", columns=["user_idx", "item_idx", "event_ts", "value"])
    for entity in Entity:
        events = events.sort_values([f"{entity}_idx", "event_ts"], kind="stable", ignore_index=True)
        grouped = events.groupby(f"{entity}_idx", sort=True)
        for days in WINDOWS_DAYS:
            rolling = grouped.rolling(f"{days}D", on="event_ts", closed="left")["value"]
            events[f"{entity}_event_count_{days}d"] = rolling.count().to_numpy()
            events[f"{entity}_value_mean_{days}d"] = rolling.mean().to_numpy()
    events.to_parquet(folder / "pandas.parquet")
    return time.perf_counter() - started


def _feast(folder: Path) -> dict[str, float] | None:
    """Feast's figures; None, said aloud, where it cannot be installed or fails."""
    python = feast_python()
    if python is None:
        return None
    program = Path(__file__).with_name("feast_history.py")
    ran = subprocess.run([str(python), str(program), str(folder)], check=False, capture_output=True, text=True)
    if ran.returncode:
        # A negative code is a signal: -9 is what a process gets that takes the machine's memory.
        print(f"NO COMPARISON WITH FEAST: it ended with {ran.returncode}.\n{ran.stderr[-2000:]}", file=sys.stderr)
        return None
    figures: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return figures


ALONE = {"draw": _draw, "ours": _ours, "sql": _sql, "pandas": _pandas}

if __name__ == "__main__":
    main()
