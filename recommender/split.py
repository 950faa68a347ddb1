"""The global time split: one moment for everybody, so that nobody's future teaches the model of their past."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl

from contracts.errors import DataTooSmall, SettingsError
from contracts.positive_events import positive_events
from contracts.settings.features import FeatureSettings


@dataclass(frozen=True)
class TimeSplit:
    """The moments that part the data; what lies before a moment is strictly before it.

    train_end, test_start: the train window is `< train_end`, the test window `>= test_start`, validation is between.
    as_of: one second after the last event.
    snapshots: by cutoff name (`test`, `all`), the moments at which training rows are made, oldest first; the label
    window of each ends at the next one, and that of the last at the cutoff's own end.
    """

    train_end: datetime
    test_start: datetime
    as_of: datetime
    snapshots: Mapping[str, tuple[datetime, ...]]

    def end(self, cutoff: str) -> datetime:
        """Where the data of a cutoff ends: nothing at or after it may be looked at."""
        return {"test": self.test_start, "all": self.as_of}[cutoff]

    def label_windows(self, cutoff: str) -> list[tuple[datetime, datetime]]:
        """(snapshot, end of its label window) for each snapshot of the cutoff, oldest first."""
        return list(pairwise([*self.snapshots[cutoff], self.end(cutoff)]))

    def to_json(self) -> dict[str, Any]:
        return {
            "train_end": self.train_end.isoformat(),
            "test_start": self.test_start.isoformat(),
            "as_of": self.as_of.isoformat(),
            "snapshots": {name: [moment.isoformat() for moment in moments] for name, moments in self.snapshots.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TimeSplit:
        """What `to_json` wrote; other keys are left alone."""
        return cls(
            datetime.fromisoformat(value["train_end"]),
            datetime.fromisoformat(value["test_start"]),
            datetime.fromisoformat(value["as_of"]),
            {name: tuple(map(datetime.fromisoformat, moments)) for name, moments in value["snapshots"].items()},
        )


def time_split(interactions: pl.DataFrame, settings: FeatureSettings) -> TimeSplit:
    """Cut the interactions by time, at shares of their number.

    Ten events, one a second, train_share 0.6 and validation_share 0.2: train_end is the time of the seventh event,
    test_start that of the ninth.
    Raises SettingsError when the snapshots would begin before the data, DataTooSmall when two moments coincide.
    """
    positive = positive_events(interactions)
    times = positive.get_column("event_ts").sort()
    if times.is_empty():
        raise DataTooSmall("There are no interactions to split.", "Look at what `ingest` and `validate` let through.")
    test_share = settings.train_share + settings.validation_share
    as_of = times[-1] + timedelta(seconds=1)
    snapshots = {"test": _snapshots(times, test_share, settings), "all": _snapshots(times, 1.0, settings)}
    split = TimeSplit(
        _moment_at_share(times, settings.train_share), _moment_at_share(times, test_share), as_of, snapshots
    )
    _check_order([times[0], split.train_end, split.test_start, as_of], len(times))
    for name, moments in snapshots.items():
        _check_order([times[0], *moments, split.end(name)], len(times))
    return split


def rolling_splits(interactions: pl.DataFrame, settings: FeatureSettings, n_windows: int) -> tuple[TimeSplit, ...]:
    """The splits of the latest windows, oldest first; the last one is that of `time_split`, of cutoff `test` alone.

    Each window has as many positive events as the last, and ends where the next one begins. Its split is what
    `time_split` would be of data that ended there: as_of is the window's end.
    Ten events, train_share 0.6 and validation_share 0.2: of three windows, the second begins at the seventh event.
    Raises as `time_split`, and DataTooSmall where the oldest window leaves nothing to learn from.
    """
    n_left = positive_events(interactions).height
    n_tested = n_left - int(round((settings.train_share + settings.validation_share) * n_left, 6))
    splits: list[TimeSplit] = []
    known = interactions
    for number in range(n_windows, 0, -1):
        learnt_share = 1 - n_tested / max(n_left, 1)
        if learnt_share <= settings.validation_share:
            raise DataTooSmall(
                f"{n_windows} windows of {n_tested} events each leave nothing to learn from before the oldest.",
                "Lower rolling.n_windows in params.yaml, or raise features.train_share.",
            )
        shares = {"train_share": learnt_share - settings.validation_share}
        split = time_split(known, settings if number == n_windows else settings.model_copy(update=shares))
        splits.append(replace(split, snapshots={"test": split.snapshots["test"], "all": ()}))
        known = known.filter(pl.col("event_ts") < split.test_start)
        n_left = positive_events(known).height
    return tuple(reversed(splits))


def _snapshots(times: pl.Series, end_share: float, settings: FeatureSettings) -> tuple[datetime, ...]:
    shares = [end_share - step * settings.snapshot_step_share for step in range(settings.n_snapshots, 0, -1)]
    if shares[0] <= 0:
        raise SettingsError(
            f"{settings.n_snapshots} snapshots, {settings.snapshot_step_share} of the interactions apart, do not fit "
            f"before {end_share:.2f} of them.",
            "Lower features.n_snapshots or features.snapshot_step_share in params.yaml.",
        )
    return tuple(_moment_at_share(times, share) for share in shares)


def _moment_at_share(times: pl.Series, share: float) -> datetime:
    # Rounding first: 0.8 + 0.1 is a hair under 0.9 in floating point, and would cut one event early.
    moment: datetime = times[min(int(round(share * len(times), 6)), len(times) - 1)]
    return moment


def _check_order(moments: list[datetime], n_events: int) -> None:
    if any(later <= earlier for earlier, later in pairwise(moments)):
        raise DataTooSmall(
            f"{n_events} interactions are too few, or too close in time, to split: "
            f"the moments {', '.join(str(moment) for moment in moments)} do not follow one another.",
            "Bring more data, or lower features.n_snapshots or features.snapshot_step_share in params.yaml.",
        )
