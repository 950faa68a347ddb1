"""Times that say a day and no time of day, and the fingerprints of the rows that have them.

Events of one day cannot be told apart by such a time. So each of these rows keeps a fingerprint of all its cells, also
of those that no mapping names, such as the number of an order; where two are equal, `validate` takes one for a repeat.
"""

from __future__ import annotations

import polars as pl

from contracts.settings.files import InteractionFiles, TableFiles
from sources.canonical.origins import FINGERPRINT
from sources.files.times import read_time

HEAD = 1_000  # rows looked at before the others
QUARTER_US = 15 * 60 * 1_000_000  # no zone differs from UTC by parts of a quarter of an hour
DAY_US, HOUR_US = 96 * QUARTER_US, 4 * QUARTER_US


def with_fingerprints(table: pl.DataFrame, whole: pl.DataFrame, settings: TableFiles) -> pl.DataFrame:
    """A batch of interactions with FINGERPRINT beside its columns, where all of its times are whole days.

    whole: the same rows with all columns of the file.
    """
    if not isinstance(settings, InteractionFiles) or not _say_days(table, settings):
        return table
    cells = whole.select(sorted(name for name, kind in whole.schema.items() if not kind.is_nested()))
    return table.with_columns(cells.hash_rows(seed=0).alias(FINGERPRINT))


def _say_days(table: pl.DataFrame, settings: InteractionFiles) -> bool:
    source = settings.columns.event_ts
    if source is None:
        return True  # the name of the file says the day, or the mapping a moment for all rows
    return source in table.columns and all(
        are_whole_days(part, settings) for part in (table[source].head(HEAD), table[source])
    )


def are_whole_days(cells: pl.Series, settings: TableFiles) -> bool:
    """Whether all times are midnight on one clock, whatever its zone; a change to summer time moves it by an hour."""
    if len(cells) == 0 or cells.dtype.is_nested():
        return False
    times = pl.DataFrame({"cell": cells}).select(read_time(cells, settings)).to_series().drop_nulls()
    of_day = (times.dt.epoch("us") % DAY_US).unique().sort()
    if not 1 <= len(of_day) <= 2 or (of_day % QUARTER_US != 0).any():
        return False
    apart = int(of_day[-1]) - int(of_day[0])
    return apart in (0, HOUR_US, DAY_US - HOUR_US)
