"""Where wanted items are missed on their way into a slate, and what each generator adds: read off the wanted items.

wanted: of an Evaluation, see `release.evaluation.wanted_items`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from release.evaluation.wanted_items import BY, WITHOUT

CANDIDATES_RECALL: Final = "candidates_recall"
PERSON: Final = ("group", "user_id")


def candidates_recall(wanted: pl.DataFrame, slates: str) -> pl.DataFrame:
    """group, user_id, system, candidates_recall: of the slates and of every generator that was asked.

    slates: the name of the system that is served.
    """
    systems = {slates: "is_candidate"} | {name: f"{BY}{name}" for name in asked_generators(wanted)}
    return (
        wanted.group_by(PERSON, maintain_order=True)
        .agg(**{system: pl.col(column).mean() for system, column in systems.items()})
        .unpivot(list(systems), index=list(PERSON), variable_name="system", value_name=CANDIDATES_RECALL)
    )


def asked_generators(wanted: pl.DataFrame) -> list[str]:
    """The names of the generators that were asked for candidates of anybody."""
    return [column.removeprefix(BY) for column in wanted.columns if column.startswith(BY)]


def stages_of_people(wanted: pl.DataFrame, cutoffs: tuple[int, ...]) -> pl.DataFrame:
    """A row for each person: the share of what they wanted that is left after each stage, in the order of the stages.

    n_candidates: kept for them; proposed: by any generator within its quota; candidates: kept for the ranker;
    best_order_at_<k>: in the first k, if the candidates stood in the best order; shown_at_<k>: in the slate's first k.
    """
    return wanted.group_by(PERSON, maintain_order=True).agg(
        pl.col("n_candidates").first(),
        proposed=pl.col("is_proposed").mean(),
        candidates=pl.col("is_candidate").mean(),
        **{f"best_order_at_{k}": pl.min_horizontal(pl.col("is_candidate").sum(), k) / pl.len() for k in cutoffs},
        **{f"shown_at_{k}": pl.col("position").is_between(1, k).mean() for k in cutoffs},
    )


def misses(shares: dict[str, float], k: int) -> dict[str, float]:
    """What of the wanted items is missed where, as shares of them; with `shown_at_<k>` they add up to 1.

    shares: the means of `stages_of_people`. retrieval: proposed by no generator; n_ranked: proposed, and cut off
    before the ranker; k: candidates, but more than k of them; ranking: something else was shown instead.
    """
    return {
        "retrieval": 1 - shares["proposed"],
        "n_ranked": shares["proposed"] - shares["candidates"],
        "k": shares["candidates"] - shares[f"best_order_at_{k}"],
        "ranking": shares[f"best_order_at_{k}"] - shares[f"shown_at_{k}"],
    }


def generator_shares(wanted: pl.DataFrame, group: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """By generator that was asked of anybody in the group, user_id, alone and last: a row for each person.

    alone: the share of the wanted items that it proposes within its quota; last: the share that is a candidate only
    because it is asked beside the others.
    """
    rows = wanted.filter(pl.col("group") == group)
    for name in asked_generators(wanted):
        if rows[f"{BY}{name}"].null_count() < rows.height:
            only_through_it = pl.col("is_candidate") & ~pl.col(f"{WITHOUT}{name}")
            shares = rows.group_by("user_id").agg(alone=pl.col(f"{BY}{name}").mean(), last=only_through_it.mean())
            yield name, shares.sort("user_id")
