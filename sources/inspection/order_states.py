"""What the states of orders say: which rows are goods that came back, and which were never bought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from sources.inspection.role_words import (
    EVENT_NAMES,
    INTERACTION_WORDS,
    STATE_NAMES,
    guess_state,
    name_score,
    tells_events_by_name,
)
from sources.inspection.sampled_columns import SampledColumn

Key = Literal["returns", "drop"]
SHOWN_WORDS: Final = 6


@dataclass(frozen=True)
class OrderStates:
    """The conditions of one column, with the reason of each, and a sentence on all of its words."""

    conditions: Mapping[Key, dict[str, Any]]
    why: Mapping[Key, str]
    note: str


def state_columns(samples: Mapping[str, SampledColumn], columns: Mapping[str, str]) -> list[str]:
    """The columns of orders that may say how each one stands, by name; columns: those that are read already."""
    return [
        name
        for name, column in samples.items()
        if name not in columns.values() and column.is_word and (_is_state(name) or _may_be_state(column))
    ]


def order_states(column: str, words: Mapping[str, int]) -> OrderStates:
    """What the words of a column of states say. words: word -> its number of rows."""
    kinds = {word: guess_state(word) for word in words}
    keys: dict[Key, list[str]] = {"returns": [], "drop": []}
    for word, kind in kinds.items():
        if kind is not None:
            keys[kind].append(word)
    found = {key: listed for key, listed in keys.items() if listed}
    conditions = {key: {"column": column, "operator": "one_of", "value": listed} for key, listed in found.items()}
    why = {key: f"{sum(words[word] for word in listed):,} rows, by {column}" for key, listed in found.items()}
    bought = [word for word, kind in kinds.items() if kind is None]
    said = {"`returns`, it came back": keys["returns"], "`drop`, it was never bought": keys["drop"]}
    parts = [f"{_listed(bought, words)}: purchases"] if bought else []
    parts += [f"{_listed(listed, words)}: {what}" for what, listed in said.items() if listed]
    return OrderStates(conditions, why, f"{column} says how each order stands: look at it. {'; '.join(parts)}.")


def n_lacking(rows: pl.DataFrame, column: str, order: str) -> int:
    """How many rows lack a cell in `column` that another row of the same order has. rows: every cell as text."""
    is_filled = pl.col(column).fill_null("").str.strip_chars() != ""
    return rows.filter(~is_filled & is_filled.any().over(order)).height


def _is_state(name: str) -> bool:
    return name_score(name, STATE_NAMES) > 0 and not tells_events_by_name(name)


def _may_be_state(column: SampledColumn) -> bool:
    """Whether it is named like a kind of row, and one of its words is of an order that was undone."""
    is_kind = name_score(column.name, INTERACTION_WORDS["event_type"]) or name_score(column.name, EVENT_NAMES)
    return bool(is_kind) and any(guess_state(word) for word in column.words)


def _listed(words: list[str], n_rows: Mapping[str, int]) -> str:
    more = f" and {len(words) - SHOWN_WORDS:,} more" if len(words) > SHOWN_WORDS else ""
    return ", ".join(f"{word} ({n_rows[word]:,} rows)" for word in words[:SHOWN_WORDS]) + more
