"""Guesses which table a file is, and what each of its columns is, by names, types and values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from contracts.events import EventType
from sources.canonical.canonical import ENTITY_KEYS
from sources.files.list_cells import separated
from sources.inspection.column_relations import ColumnRelations
from sources.inspection.item_attributes import is_yes_or_no
from sources.inspection.role_words import (
    INTERACTION_WORDS,
    ITEM_WORDS,
    ORDER_NAMES,
    PART,
    PRICE_NAMES,
    STATE_NAMES,
    TOKEN,
    TOTAL_NAMES,
    USER_WORDS,
    guess_event,
    name_score,
    names_email,
    names_id,
    names_item_code,
    names_other_kind,
    names_person,
    plain,
    tells_events_by_name,
)
from sources.inspection.sampled_columns import FEW_WORDS, NEARLY_ALL, SampledColumn

Table = str
SOME = 0.2
MOST = 0.5
SELDOM = 0.05  # of the values of a column that is no person come back on another day
BY_VALUES = 0.5  # the score by cells alone: less than any by name
NEEDED = {
    "interactions": ("user_id", "item_id", "event_ts"),
    "items": ("item_id",),
    "users": ("user_id",),
}
WORDS = {"interactions": INTERACTION_WORDS, "items": ITEM_WORDS, "users": USER_WORDS}


@dataclass(frozen=True)
class Guess:
    """Which table a file is. columns: canonical name -> the file's column; by_values: those guessed by cells alone."""

    table: Table
    columns: Mapping[str, str]
    by_values: tuple[str, ...]


# What people do before they buy: a column of orders that has none of it holds no event types.
BROWSING = frozenset(
    {EventType.VIEW, EventType.CLICK, EventType.ADD_TO_CART, EventType.IMPRESSION, EventType.LIKE, EventType.SAVE}
)
NO_RELATIONS = ColumnRelations()


def guess_table(samples: Mapping[str, SampledColumn], relations: ColumnRelations = NO_RELATIONS) -> Guess | None:
    """The table that a file with these columns is; None where it is none of the three.

    Events need a person, an item and a time. Items and people need an id that differs in every row.
    """
    events = _with_total(_without_states(_assign("interactions", samples, relations), samples), relations)
    both = [_assign("items", samples), _assign("users", samples)]
    described = max((guess for guess in both if _is_described(guess, samples)), key=_key_score, default=None)
    if not _is_whole(events):
        return described
    # An id that is guessed by its cells alone does not count where the rows are plainly items or people.
    by_values = {"user_id", "item_id"} & set(events.by_values)
    return described if described and by_values and _key_score(described)[0] > 0 else events


def columns_of_items(samples: Mapping[str, SampledColumn]) -> dict[str, str]:
    """Which of these columns say something of an item, by their names; canonical name -> the file's."""
    return dict(_assign("items", samples, without="item_id").columns)


def described_by(samples: Mapping[str, SampledColumn], table: Table, key: str) -> Guess | None:
    """The file as `table`, with the column `key` as its ids; None where these repeat."""
    if not _is_key(samples[key], n_sampled_rows(samples)):
        return None
    others = {name: column for name, column in samples.items() if name != key}
    columns = _assign(table, others, without=ENTITY_KEYS[table]).columns
    return Guess(table, {ENTITY_KEYS[table]: key, **columns}, (ENTITY_KEYS[table],))


def n_sampled_rows(samples: Mapping[str, SampledColumn]) -> int:
    """How many rows the sample has, at least."""
    return max((column.n_filled for column in samples.values()), default=0)


def said_of_events(samples: Mapping[str, SampledColumn]) -> dict[str, str]:
    """What interactions need (NEEDED) and these columns name, by their names; canonical name -> the file's."""
    events = _assign("interactions", samples)
    named = set(NEEDED["interactions"]) - (set(events.by_values) - {"event_ts"})
    return {role: name for role, name in events.columns.items() if role in named}


def without_time(samples: Mapping[str, SampledColumn]) -> Guess | None:
    """The guess of a file that names a person and an item in each row, and no time; None where it does not."""
    events = _without_states(_assign("interactions", samples), samples)
    named = {"user_id", "item_id"} <= set(events.columns) - set(events.by_values)
    return events if named and "event_ts" not in events.columns else None


def _with_total(events: Guess, relations: ColumnRelations) -> Guess:
    """The value is what all pieces cost: the column that says so, or else price and quantity."""
    columns = dict(events.columns)
    pair = {columns.get("value"), columns.get("quantity")}
    total = next((one for one, factors in relations.products.items() if pair & set(factors) or one in pair), None)
    if total is not None:
        columns["value"] = total
    is_total = total is not None or plain(columns.get("value", "")) in TOTAL_NAMES.split()
    if is_total or "value" not in columns:
        columns.pop("quantity", None)
    return Guess(events.table, columns, tuple(role for role in events.by_values if role in columns))


def _without_states(events: Guess, samples: Mapping[str, SampledColumn]) -> Guess:
    """The guess without an event type that is none: of orders, a column may say how each one stands."""
    column = events.columns.get("event_type")
    if column is None or tells_events_by_name(column) or not is_of_orders(events.columns):
        return events
    if not name_score(column, STATE_NAMES) and known_share(samples[column].words, BROWSING) >= MOST:
        return events
    columns = {role: name for role, name in events.columns.items() if role != "event_type"}
    return Guess(events.table, columns, tuple(role for role in events.by_values if role != "event_type"))


def is_of_orders(columns: Mapping[str, str]) -> bool:
    """Whether rows with these columns are of orders: they have a quantity, a price, an order's number or its time."""
    return (
        "quantity" in columns
        or name_score(columns.get("value", ""), PRICE_NAMES) > 0
        or name_score(columns.get("session_id", ""), ORDER_NAMES) > 0
        or guess_event(columns.get("event_ts", "")) == EventType.PURCHASE
    )


def known_share(words: Mapping[str, int], types: Collection[EventType]) -> float:
    """The share of rows whose word is of one of these types, where any is; words: word -> its rows."""
    guessed = {word: guess_event(word) for word in words}
    if not set(guessed.values()) & set(types):
        return 0.0
    return sum(words[word] for word, ours in guessed.items() if ours) / sum(words.values())


def _assign(
    table: Table, samples: Mapping[str, SampledColumn], relations: ColumnRelations = NO_RELATIONS, without: str = ""
) -> Guess:
    """Give each role but `without` to the column that fits it best, the surest first."""
    has_codes = any(map(_is_item_code, samples.values()))
    scores = {
        (role, name): _score(table, role, words, column, relations.comes_back.get(name, 0.0))
        for role, words in WORDS[table].items()
        for name, column in samples.items()
        if role != without and not (role == "item_id" and has_codes and column.is_worded)
    }
    columns: dict[str, str] = {}
    by_values: list[str] = []
    # Matches by name come first; matches by values follow, in the order of roles and columns.
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    for (role, name), score in ranked:
        if score > 0 and role not in columns and name not in columns.values():
            columns[role] = name
            if score <= BY_VALUES:
                by_values.append(role)
    if table == "interactions" and "session_id" in columns and _is_nobody(columns, by_values, relations):
        columns["user_id"] = columns.pop("session_id")
        by_values = list(dict.fromkeys([*by_values, "user_id"]))
    ordered = {role: columns[role] for role in WORDS[table] if role in columns}
    return Guess(table, ordered, tuple(by_values))


def _is_nobody(columns: Mapping[str, str], by_values: Sequence[str], relations: ColumnRelations) -> bool:
    """Whether no column is named like a person, and none that was guessed by its values comes back."""
    person = columns.get("user_id")
    return person is None or ("user_id" in by_values and relations.comes_back.get(person, 0.0) <= SELDOM)


def _is_item_code(column: SampledColumn) -> bool:
    return names_item_code(column.name) and FITS["item_id"](column) and not column.is_worded and column.n_distinct > 1


def _score(table: Table, role: str, words: str, column: SampledColumn, comes_back: float) -> float:
    """How well a column fits a role; comes_back: the share of its values that stand on several days."""
    fits = FITS.get(role)
    if not column.n_filled or (fits and not fits(column)) or _names_something_else(table, role, column.name):
        return 0.0
    named = name_score(column.name, words)
    if named:
        # A person comes back; an order does not.
        return named + (comes_back if role == "user_id" else -comes_back if role == "session_id" else 0.0)
    if _cells_say(role, column):
        return PART + comes_back
    return BY_VALUES if table == "interactions" and _values_say(role, column) else 0.0


def _names_something_else(table: Table, role: str, name: str) -> bool:
    """Whether a column's name says that it cannot have this role: nothing of a person is said of items."""
    match role:
        case "event_type":
            return names_other_kind(name)
        case "item_id":
            return names_person(name) and not names_id(name) and not name_score(name, ITEM_WORDS["item_id"])
        case _:
            return table == "items" and names_person(name)


def _cells_say(role: str, column: SampledColumn) -> bool:
    """Whether the cells and the name together tell the role, though the name alone does not."""
    match role:
        case "user_id":
            return names_email(column.name) and all("@" in cell for cell in column.examples)
        case "session_id":
            return column.is_order_number
        case "title":
            return column.is_worded and name_score(column.name, ITEM_WORDS["item_id"]) >= TOKEN
        case _:
            return False


def _values_say(role: str, column: SampledColumn) -> bool:
    match role:
        case "event_ts":
            return True  # it fits: its cells are times
        case "event_type":
            return known_share(column.words, set(EventType) - {EventType.RETURN}) >= MOST
        case "user_id" | "item_id":
            return (
                not column.is_time
                and (column.is_whole or not column.is_number)
                and column.n_distinct > 1
                and column.distinct_share < NEARLY_ALL
            )
        case _:
            return False


FITS: Mapping[str, Callable[[SampledColumn], bool]] = {
    "event_ts": lambda column: column.is_time,
    "created_ts": lambda column: column.is_time,
    "signup_ts": lambda column: column.is_time,
    "event_type": lambda column: column.is_word or column.is_code,
    "session_id": lambda column: not column.is_list and not column.is_time and _has_many(column),
    "quantity": lambda column: column.is_whole,
    "value": lambda column: column.is_number,
    "price": lambda column: column.is_number,
    "age": lambda column: column.is_whole,
    "release_year": lambda column: column.is_whole,
    "in_stock": lambda column: column.is_whole or is_yes_or_no(column),
    "categories": lambda column: not _are_nameless_objects(column),
    "title": lambda column: not column.is_number and not column.is_list and not column.is_order_number,
    "user_id": lambda column: not column.is_list and (column.is_whole or not column.is_number),
    "item_id": lambda column: column.is_whole or not column.is_number,
}


def _are_nameless_objects(column: SampledColumn) -> bool:
    """Whether its cells are lists of objects, and nothing says what these are called."""
    return bool(column.examples) and separated(pl.Series(column.examples), "|").null_count() == len(column.examples)


def _has_many(column: SampledColumn) -> bool:
    """Whether it could number orders or visits; a status or a flag has few values."""
    return column.n_distinct > FEW_WORDS or column.distinct_share >= SOME


def _is_whole(guess: Guess) -> bool:
    return all(role in guess.columns for role in NEEDED[guess.table])


def _is_described(guess: Guess, samples: Mapping[str, SampledColumn]) -> bool:
    key = guess.columns.get(ENTITY_KEYS[guess.table])
    return key is not None and _is_key(samples[key], n_sampled_rows(samples))


def _is_key(column: SampledColumn, n_rows: int) -> bool:
    return column.distinct_share >= NEARLY_ALL and column.n_filled >= NEARLY_ALL * n_rows and n_rows > 1


def _key_score(guess: Guess) -> tuple[float, int]:
    key = ENTITY_KEYS[guess.table]
    return name_score(guess.columns[key], WORDS[guess.table][key]), len(guess.columns)
