"""From a first look at files to the mapping that params.yaml needs, with a reason beside each guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from contracts.events import EventType
from contracts.settings.files import (
    FROM_FILE_NAME,
    UNANSWERED,
    Files,
)
from sources.canonical.canonical import ENTITY_KEYS
from sources.files.export_reader import DATE_IN_NAME
from sources.files.id_columns import ids_in
from sources.files.raw_rows import read_rows
from sources.inspection.column_relations import goes_with
from sources.inspection.file_groups import FileGroup
from sources.inspection.item_attributes import item_attributes
from sources.inspection.order_states import n_lacking, order_states, state_columns
from sources.inspection.role_words import (
    INTERACTION_WORDS,
    ITEM_WORDS,
    ORDER_NAMES,
    PRICE_NAMES,
    guess_event,
    is_left_out_by_name,
    name_score,
    names_person,
)
from sources.inspection.roles import Guess, columns_of_items, described_by, without_time
from sources.inspection.row_rules import no_sales, returns, suspects
from sources.inspection.sampled_columns import FEW_WORDS, SampledColumn
from sources.inspection.table_mapping import examples_text, table_mapping

MOST_IDS = 0.5  # of the ids in the sample of events; a column of something else shares none with them
BESIDE_EVENTS = ("categories", "price")  # what rows of events may say of their items, besides a title
TEXTS = ("title", "text", "categories")  # of an item, that must never be those of a person
N_ASKED = 10
FEW_UNKNOWN = 0.05  # of the rows; where words nobody knows stand in more, leaving them out must be a decision
SOME_DAY = "2024-01-31"
MAX_WORDS = 200  # event types listed; a column with more words holds no types


@dataclass(frozen=True)
class Proposal:
    """The mapping as params.yaml has it, and what a person should look at before pasting it.

    event_types: word -> how often; comments: dotted key of the mapping -> why; unused: files that are no table;
    notes: what a person should know of the rows; questions: what only a person can say, before anything can be built;
    told_of: columns that nothing reads, and that the notes name.
    """

    files: dict[str, Any]
    event_types: Mapping[str, int]
    comments: Mapping[str, str]
    unused: tuple[str, ...]
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    told_of: tuple[str, ...] = ()

    @property
    def settings(self) -> Files:
        """The mapping to try; a time that somebody must tell is some day."""
        files = dict(self.files)
        mappings = files["interactions"] if isinstance(files["interactions"], list) else [files["interactions"]]
        files["interactions"] = [
            mapping | ({"event_ts": SOME_DAY} if mapping.get("event_ts") == UNANSWERED else {}) for mapping in mappings
        ]
        return Files.model_validate(files)


def propose(groups: Sequence[FileGroup], root: str) -> Proposal | None:
    """The mapping of the files under `root`; None where none of them holds interactions."""
    ranked = sorted(groups, key=_weight, reverse=True)
    chosen: dict[str, FileGroup] = {}
    for group in ranked:
        if group.guess is not None:
            chosen.setdefault(group.guess.table, group)
    if "interactions" not in chosen and not _take_without_time(ranked, chosen):
        return None
    for group in groups:
        if _says_nobody(group, chosen) and (guess := _guess_by_ids(group, chosen["interactions"], chosen)):
            group.guess = guess
            chosen[guess.table] = group
    events = [group for group in ranked if _is_of_the_same_shop(group, chosen["interactions"])]
    return _Proposing(events, chosen, groups, root).proposal()


def _take_without_time(groups: Sequence[FileGroup], chosen: dict[str, FileGroup]) -> bool:
    """Take the first group whose rows name a person and an item as interactions, though no column says when."""
    for group in groups:
        guess = without_time(group.samples)
        if guess is not None:
            if group.guess is not None and chosen.get(group.guess.table) is group:
                del chosen[group.guess.table]
            group.guess = guess
            chosen["interactions"] = group
            return True
    return False


def _is_of_the_same_shop(group: FileGroup, largest: FileGroup) -> bool:
    """Whether a file of events goes with the largest one: they share people or items, and have columns of their own.

    One with the same columns is a part of it that is written otherwise, and told as such.
    """
    if group is largest:
        return True
    if group.guess is None or group.guess.table != "interactions" or set(group.samples) == set(largest.samples):
        return False
    return any(
        _ids(group, group.guess.columns[key]) & _ids(largest, largest.recognised.columns[key])
        for key in ("item_id", "user_id")
    )


def _ids(group: FileGroup, column: str) -> set[str]:
    """Ids as they will be read: whole floats without their point."""
    return set(ids_in(group.rows[column].drop_nulls()))


class _Proposing:
    """Puts one proposal together: the mapping, and beside it why, what to know and what to ask."""

    def __init__(
        self, events: Sequence[FileGroup], chosen: Mapping[str, FileGroup], groups: Sequence[FileGroup], root: str
    ) -> None:
        self._events = events
        self._chosen = chosen
        self._groups = groups
        self._root = root
        self._comments: dict[str, str] = {}
        self._notes: list[str] = []
        self._told_of: list[str] = []
        self._questions: list[str] = []
        self._words: dict[str, int] = {}

    def proposal(self) -> Proposal:
        files: dict[str, Any] = {}
        mappings = []
        for number, group in enumerate(self._events):
            where = "interactions" if len(self._events) == 1 else f"interactions.{number}"
            mappings.append(self._interactions(group, where))
        files["interactions"] = mappings if len(mappings) > 1 else mappings[0]
        for table in ("items", "users"):
            if table in self._chosen:
                files[table] = table_mapping(table, table, self._chosen[table], self._root, self._comments)
        if "items" in files:
            self._attributes(files["items"], self._chosen["items"].samples)
        if "items" not in files and (items := self._items_beside(self._events[0])):
            files["items"] = items
        if "items" in files:
            group = self._chosen.get("items", self._events[0])
            self._other_categories(files["items"]["columns"], group.samples)
        used = [*self._events, *self._chosen.values()]
        unused = tuple(name for group in self._groups if group not in used for name in group.names)
        return Proposal(
            files, self._words, self._comments, unused, tuple(self._notes), tuple(self._questions), tuple(self._told_of)
        )

    def _interactions(self, group: FileGroup, where: str) -> dict[str, Any]:
        mapping = table_mapping(where, "interactions", group, self._root, self._comments)
        columns = mapping["columns"]
        if "event_ts" not in columns:
            self._time_of_all(group, mapping, where)
        self._event_types(group, mapping, where)
        for key, (conditions, why) in {
            "returns": returns(columns, group.samples, group.rows),
            "drop": no_sales(columns, group.samples, group.rows),
        }.items():
            if conditions:
                mapping[key] = conditions
                self._comments[f"{where}.{key}"] = why
        self._order_states(group, mapping, where)
        person = group.samples[columns["user_id"]]
        if name_score(person.name, INTERACTION_WORDS["session_id"]) and "session_id" not in columns:
            self._comments[f"{where}.columns.user_id"] = f"no column names a person: each {person.name} stands for one"
        if person.n_missing and "session_id" in columns:
            mapping["anonymous"] = "session"
            share = person.n_missing / len(group.rows)
            session = columns["session_id"]
            self._comments[f"{where}.anonymous"] = (
                f"{share:.1%} of the rows name no {person.name}: guests, by {session}"
            )
        lists = [name for name in columns.values() if group.samples[name].is_list]
        if lists:
            self._notes.append(f"The cells of {', '.join(lists)} are lists: `explode` makes a row of each element.")
            mapping["explode"] = lists
        return mapping

    def _time_of_all(self, group: FileGroup, mapping: dict[str, Any], where: str) -> None:
        """Give times to rows that have none: the dates of the files' names, or a moment that somebody must know."""
        are_dated = all(DATE_IN_NAME.search(name) for name in group.names)
        if are_dated and len(group.names) > 1:
            mapping["event_ts"] = FROM_FILE_NAME
            self._comments[f"{where}.event_ts"] = "no column is a time: the date in each file's name"
            return
        mapping["event_ts"] = UNANSWERED
        self._comments[f"{where}.event_ts"] = (
            f"no column is a time: write {FROM_FILE_NAME}, or the day of the export for all rows, such as {SOME_DAY}"
        )
        columns = group.recognised.columns
        self._questions.append(
            f"When did it happen? The rows of {group.names[0]} have a person ({columns['user_id']}) and an item "
            f"({columns['item_id']}), but no time, without which nothing can be learnt from the past and judged on "
            f"what came later. Export the time of each row; or name each file by its day ({SOME_DAY}.csv) and set "
            f"`event_ts: {FROM_FILE_NAME}`; or set `event_ts` to one moment for all rows, which serves but cannot be "
            "judged: docs/own-data.md."
        )

    def _event_types(self, group: FileGroup, mapping: dict[str, Any], where: str) -> None:
        """Say in the mapping what happened in each row: by its words, or by what the file is."""
        column = mapping["columns"].get("event_type")
        if column is None:
            event_type, why = _type_of_all(group, mapping["columns"])
            mapping["event_type"] = str(event_type)
            self._comments[f"{where}.event_type"] = why
            return
        words = _count_words(group, column)
        mapped = {word: guess_event(word) for word in words}
        mapping["event_types"] = {word: ours and str(ours) for word, ours in mapped.items() if ours != word}
        for word, ours in mapped.items():
            note = "" if ours else "; left out: map it if it says that somebody wanted an item"
            self._comments[f"{where}.event_types.{word}"] = f"{words[word]:,} rows{note}"
        as_they_are = [f"{word} ({words[word]:,} rows)" for word, ours in mapped.items() if ours == word]
        if as_they_are:
            self._comments[f"{where}.columns.event_type"] = f"read as they are: {', '.join(as_they_are)}"
        self._words |= words
        unknown = {
            word: n_rows for word, n_rows in words.items() if mapped[word] is None and not is_left_out_by_name(word)
        }
        if sum(unknown.values()) > FEW_UNKNOWN * sum(words.values()):
            listed = ", ".join(f"{word} ({n_rows:,} rows)" for word, n_rows in list(unknown.items())[:N_ASKED])
            self._questions.append(
                f"What do the event types in {column} mean: {listed}? Beside each of them under `event_types` write "
                "view, click, add_to_cart, purchase, like..., or null where it says nothing of anybody's wishes."
            )

    def _order_states(self, group: FileGroup, mapping: dict[str, Any], where: str) -> None:
        """Say which rows of orders came back or were never bought, by columns that say how an order stands."""
        if mapping.get("event_type") != EventType.PURCHASE:
            return
        for column in state_columns(group.samples, mapping["columns"]):
            states = order_states(column, _count_words(group, column))
            for key, condition in states.conditions.items():
                mapping.setdefault(key, []).append(condition)
                place = f"{where}.{key}"
                earlier = [self._comments[place]] if place in self._comments else []
                self._comments[place] = "; ".join([*earlier, states.why[key]])
            order = mapping["columns"].get("session_id")
            if states.conditions and order and (n_rows := n_lacking(group.rows, column, order)):
                self._notes.append(
                    f"{column} is filled in on some rows of each {order} alone: {n_rows:,} of {len(group.rows):,} rows "
                    f"lack it and count as purchases, also of an order that was undone. Write it into every row of its "
                    f"{order} in the export."
                )
            if states.conditions or name_score(column, "status bestellstatus auftragsstatus"):
                self._notes.append(states.note)
                self._told_of.append(column)

    def _attributes(self, mapping: dict[str, Any], samples: Mapping[str, SampledColumn]) -> None:
        """Name what else is known of the items; a request may ask for items by it."""
        found = item_attributes(samples, mapping["columns"].values(), mapping.get("decimal", "."))
        if not found:
            return
        mapping["attributes"] = found
        for name, one in found.items():
            place, column = (name, one) if isinstance(one, str) else (f"{name}.column", one["column"])
            self._comments[f"items.attributes.{place}"] = examples_text(samples[column])

    def _other_categories(self, columns: Mapping[str, str], samples: Mapping[str, SampledColumn]) -> None:
        """Say that columns could be the categories of an item, too: one is read. columns: what is read of items."""
        taken = columns.get("categories")
        others = [
            name
            for name, column in samples.items()
            if name not in columns.values()
            and column.n_filled
            and name_score(name, ITEM_WORDS["categories"])
            and not names_person(name)
        ]
        if taken is not None and others:
            self._told_of += others
            self._notes.append(
                f"items: {', '.join(others)} could be categories, too, and is left out: {taken} is read. To take "
                f"{others[0]} instead: `categories: {others[0]}`; to take both: `categories: [{taken}, {others[0]}]`."
            )

    def _items_beside(self, group: FileGroup) -> dict[str, Any] | None:
        """The items that the rows of events describe, where no file does."""
        others = {
            name: column
            for name, column in group.samples.items()
            if name not in group.recognised.columns.values() or name == group.recognised.columns.get("value")
        }
        described = columns_of_items(others)
        while of_people := self._of_people(group, described):
            others = {name: column for name, column in others.items() if name not in of_people}
            described = columns_of_items(others)
        title = described.get("title") or described.pop("text", None)
        if title is None:
            return None
        kept = {"title": title, **{role: name for role, name in described.items() if role in BESIDE_EVENTS}}
        for role, name in kept.items():
            self._comments[f"items.columns.{role}"] = examples_text(group.samples[name])
        self._notes += suspects(group.recognised.columns, kept, group.samples, group.rows)
        mapping: dict[str, Any] = {"from": "interactions", "columns": kept}
        separator = group.samples[kept["categories"]].list_separator if "categories" in kept else None
        return mapping | ({"category_separator": separator} if separator not in (None, "|") else {})

    def _of_people(self, group: FileGroup, described: Mapping[str, str]) -> list[str]:
        """Of the columns that are taken for texts of items, those that go with the person and not with the item."""
        columns = group.recognised.columns
        return [
            described[role]
            for role in TEXTS
            if role in described
            and goes_with(group.rows, described[role], columns["user_id"], instead_of=columns["item_id"])
        ]


def _type_of_all(group: FileGroup, columns: Mapping[str, str]) -> tuple[EventType, str]:
    """What happened in every row of a file that has no column for it, and why that is likely."""
    if guess_event(columns.get("event_ts", "")) == EventType.PURCHASE:
        return EventType.PURCHASE, f"by the name of {columns['event_ts']}: look at it"
    by_name = {guess_event(PurePosixPath(name).name.split(".")[0]) for name in group.names} - {None}
    if len(by_name) == 1:
        return next(iter(one for one in by_name if one)), "by the name of the file: look at it"
    value = columns.get("value")
    if "quantity" in columns:
        return EventType.PURCHASE, f"each row has a {columns['quantity']} and a {value}"
    if value is not None and _looks_rated(group.samples[value]):
        return EventType.RATING, f"by the values of {value}: look at it"
    for role, names in {"value": PRICE_NAMES, "session_id": ORDER_NAMES}.items():
        if name_score(columns.get(role, ""), names):
            return EventType.PURCHASE, f"each row has a {columns[role]}: look at it"
    return EventType.VIEW, "a guess: no column says it"


def _guess_by_ids(group: FileGroup, events: FileGroup, chosen: Mapping[str, FileGroup]) -> Guess | None:
    """Items or people, where no name says so: most ids of the events stand in one of its columns."""
    for table, key in ENTITY_KEYS.items():
        ids = _cells(events, events.recognised.columns[key])
        for column in group.samples:
            if table not in chosen and len(ids & _cells(group, column)) >= MOST_IDS * len(ids):
                return described_by(group.samples, table, column)
    return None


def _cells(group: FileGroup, column: str) -> set[str]:
    return {cell for look in group.looks for cell in ids_in(look.sample[column].drop_nulls()).to_list()}


def _weight(group: FileGroup) -> tuple[bool, int, int]:
    """Which group wins among those taken for one table: the one with most events, or with most columns.

    Events that only their values tell, such as articles with a date, come after those that name a person or an item.
    """
    n_rows, n_columns = sum(len(look.sample) for look in group.looks), len(group.guess.columns) if group.guess else 0
    if group.guess and group.guess.table == "interactions":
        return not _is_guessed(group.guess), n_rows, n_columns
    return False, n_columns, n_rows


def _is_guessed(guess: Guess) -> bool:
    """Whether no name of a column speaks of a person or an item."""
    return {"user_id", "item_id"} <= set(guess.by_values)


def _says_nobody(group: FileGroup, chosen: Mapping[str, FileGroup]) -> bool:
    """Whether a file may be of items or people though its names do not say so: it is not the chosen file of events."""
    if group.guess is None:
        return True
    return group.guess.table == "interactions" and group is not chosen["interactions"] and _is_guessed(group.guess)


def _looks_rated(column: SampledColumn) -> bool:
    return column.n_distinct <= FEW_WORDS and column.is_number


def _count_words(group: FileGroup, column: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for look in group.looks:
        for batch in read_rows(look.file, look.settings, [column]):
            words = batch.table[column].cast(pl.String)
            nothing = ["", *look.null_words.get(column, ())]
            for word, n_rows in words.filter(~words.is_in(nothing)).value_counts().iter_rows():
                counts[word] = counts.get(word, 0) + n_rows
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_WORDS])
