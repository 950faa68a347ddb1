"""Figures with intervals of where wanted items are missed, of what each generator adds, and of kinds of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from contracts.ids import FloatArray
from recommender.judging.shown import popularity_ranks
from release.evaluation.evaluation import SLATES
from release.evaluation.stages import CANDIDATES_RECALL, generator_shares, misses, stages_of_people
from release.evaluation.summary import DIGITS, Bootstrap, rounded

# By popularity, as shares of the catalogue; and by age, in days from the first time that anybody touched the item.
POPULARITY_BANDS: Final = ((0.01, "the most popular 1%"), (0.1, "the next 9%"), (0.5, "the next 40%"), (1, "the rest"))
AGE_BANDS: Final = ((30, "known up to 30 days"), (180, "known 30 to 180 days"), (np.inf, "known over 180 days"))
UNTOUCHED: Final = "touched by nobody before"


def stage_table(wanted: pl.DataFrame, cutoffs: tuple[int, ...], bootstrap: Bootstrap) -> pl.DataFrame:
    """group, stage, value, low, high: the share of the wanted items that is left after each stage, in their order."""
    rows = []
    for (group,), people in stages_of_people(wanted, cutoffs).group_by("group", maintain_order=True):
        mine = people.sort("user_id")
        columns = {name: mine[name].to_numpy() for name in mine.columns if name not in {"group", "user_id"}}
        for stage, interval in bootstrap.intervals(columns, str(group), SLATES).items():
            rows.append((group, stage, interval.mean, interval.low, interval.high))
    return _table(rows, ["group", "stage", "value", "low", "high"])


def generator_table(wanted: pl.DataFrame, group: str, quotas: Mapping[str, int], bootstrap: Bootstrap) -> pl.DataFrame:
    """generator, quota, alone, alone_low, alone_high, last, last_low, last_high: what each adds, best first.

    alone: of the wanted items, the share that it proposes within its quota; last: the share that is missed without it.
    """
    rows = []
    for name, shares in generator_shares(wanted, group):
        columns = {column: shares[column].to_numpy() for column in ("alone", "last")}
        found = bootstrap.intervals(columns, group, name)
        ends = [end for one in found.values() for end in (one.mean, one.low, one.high)]
        rows.append((name, quotas.get(name, 0), *ends))
    names = ["alone", "alone_low", "alone_high", "last", "last_low", "last_high"]
    return _table(rows, ["generator", "quota", *names]).sort(["alone", "generator"], descending=[True, False])


def stage_figures(stages: pl.DataFrame, k: int) -> dict[str, dict[str, Any]]:
    """By group, the share that is left after each stage, and what is missed where down to the first k.

    stages: of `stage_table`.
    """
    figures: dict[str, dict[str, Any]] = {}
    for (group,), rows in stages.group_by("group", maintain_order=True):
        shares = dict(rows.select("stage", "value").iter_rows())
        missed = {name: round(share, DIGITS) for name, share in misses(shares, k).items()}
        figures[str(group)] = {**shares, f"missed_at_{k}": missed}
    return figures


@dataclass(frozen=True)
class ItemBands:
    """Kinds of items by name, (n_items,) True for those of the kind; the judge's items. A band may be empty."""

    by_name: Mapping[str, npt.NDArray[np.bool_]]

    @classmethod
    def of(cls, popularity: FloatArray, known_days: FloatArray) -> ItemBands:
        """By popularity, and by age.

        popularity: (n_items,) shares of people; known_days: (n_items,) how long ago an item was first touched, NaN
        where nobody had.
        """
        bands, touched = {UNTOUCHED: popularity == 0}, popularity > 0
        for values, limits in (
            (popularity_ranks(popularity) / len(popularity), POPULARITY_BANDS),
            (known_days, AGE_BANDS),
        ):
            above = -np.inf
            for limit, name in limits:
                bands[name] = touched & (values > above) & (values <= limit)
                above = limit
        return cls(bands)


def item_slices(wanted: pl.DataFrame, bands: ItemBands, k: int, bootstrap: Bootstrap) -> list[dict[str, Any]]:
    """Per group and kind of item, of what people wanted of that kind: how much was shown in the first k, and proposed.

    The mean over the people who wanted any of the kind; rows as those of `summary.slices`.
    """
    rows = []
    shares = {
        f"recall_at_{k}": pl.col("position").is_between(1, k).mean(),
        CANDIDATES_RECALL: pl.col("is_candidate").mean(),
    }
    for (group,), of_group in wanted.group_by("group", maintain_order=True):
        for name, is_of_band in bands.by_name.items():
            mine = of_group.filter(pl.Series(is_of_band[of_group["item_idx"].to_numpy()]))
            if mine.height:
                people = mine.group_by("user_id").agg(**shares).sort("user_id")
                columns = {metric: people[metric].to_numpy() for metric in shares}
                about = {"group": str(group), "slice": f"items {name}", "people": people.height, "items": mine.height}
                found = bootstrap.intervals(columns, str(group), name)
                rows += [{**about, "metric": metric, **rounded(interval)} for metric, interval in found.items()]
    return rows


def _table(rows: list[tuple[Any, ...]], names: list[str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col(pl.Float64).round(DIGITS))
