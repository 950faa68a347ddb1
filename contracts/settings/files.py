"""The parameters of source `files`: where a team's own export lies, and which of its columns and words mean what."""

from __future__ import annotations

import codecs
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from contracts.events import EventType
from contracts.settings.group import Group

Format = Literal["csv", "tsv", "jsonl", "parquet"]
TimeUnit = Literal["iso", "s", "ms", "us"]


class InteractionColumns(Group):
    """Which column of the export is which of `interactions`; in JSON lines, dots lead into objects: `user.id`."""

    user_id: str
    item_id: str
    event_ts: str
    event_type: str | None = None
    value: str | None = None
    session_id: str | None = None
    request_id: str | None = None


class ItemColumns(Group):
    """Which column of the export is which of `items`. Without a title, titles are the ids."""

    item_id: str
    title: str | None = None
    categories: str | None = None
    text: str | None = None
    price: str | None = None
    created_ts: str | None = None
    release_year: str | None = None


class UserColumns(Group):
    """Which column of the export is which of `users`."""

    user_id: str
    signup_ts: str | None = None
    age: str | None = None
    gender: str | None = None
    occupation: str | None = None


class ImpressionColumns(Group):
    """Which column of the export is which of `impressions`: a row is one item at one position of one slate."""

    request_id: str
    position: str
    item_id: str
    event_ts: str
    user_id: str | None = None
    session_id: str | None = None
    propensity: str | None = None
    policy_id: str | None = None
    surface: str | None = None


def required_fields(columns: type[Group]) -> frozenset[str]:
    """The columns of ours without which a row of the table says nothing."""
    return frozenset(name for name, field in columns.model_fields.items() if field.is_required())


class TableFiles(Group):
    """The files of one table. path: a file, folder or pattern inside `ingest.path`, or a URL (which DVC cannot watch).

    format: null for what the names say (.csv, .tsv, .jsonl, .ndjson, .json, .parquet, each also with .gz or .zst).
    separator, encoding, decimal, quoted: of text tables; separator null is a comma, in .tsv a tab; quoted false takes
    quotation marks for ordinary text.
    time_unit: `iso` (2024-01-31T12:00:00+01:00), or s, ms, us since 1970; time_format: as strptime's, instead of iso.
    null_words: texts that stand for no value, such as NULL.
    time_zone: that of times which name none, such as Europe/Berlin; null refuses those.
    """

    path: str = "."
    format: Format | None = None
    separator: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    quoted: bool = True
    null_words: tuple[str, ...] = ()
    time_unit: TimeUnit = "iso"
    time_format: str | None = None
    time_zone: str | None = None

    @property
    def required_columns(self) -> frozenset[str]:
        """The columns of the export without which a row says nothing."""
        columns = getattr(self, "columns", None)
        if not isinstance(columns, Group):
            return frozenset()
        return frozenset(getattr(columns, name) for name in required_fields(type(columns)))

    @field_validator("path")
    @classmethod
    def _path_is_inside(cls, path: str) -> str:
        if "://" not in path and (path.startswith(("/", "~")) or ".." in path.split("/")):
            raise ValueError("it lies inside ingest.path, which DVC watches: set that to the folder above all tables")
        return path

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name
        except LookupError as error:
            raise ValueError("no such encoding; write utf-8, latin-1, cp1252, utf-16...") from error

    @field_validator("null_words", mode="before")
    @classmethod
    def _words_are_quoted(cls, value: Any) -> Any:
        if isinstance(value, list) and None in value:
            raise ValueError('one of them is no text but YAML\'s own null: write "NULL" with its quotation marks')
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, name: str | None) -> str | None:
        try:
            return name and ZoneInfo(name).key
        except (OSError, ValueError, KeyError) as error:
            raise ValueError("no such time zone; write UTC, Europe/Berlin...") from error


class InteractionFiles(TableFiles):
    """The files of `interactions`. event_types: the export's word -> ours, null for rows to leave out; words that are
    ours already need no entry. event_type: the type of every row, where no column says it."""

    columns: InteractionColumns
    event_type: EventType | None = None
    event_types: dict[str, EventType | None] = Field(default_factory=dict)

    @field_validator("event_types", mode="before")
    @classmethod
    def _words_are_text(cls, words: Any) -> Any:
        # YAML reads an unquoted 1 as a number.
        return {str(word): ours for word, ours in words.items()} if isinstance(words, dict) else words

    @model_validator(mode="after")
    def _one_thing_says_the_type(self) -> InteractionFiles:
        if (self.event_type is None) == (self.columns.event_type is None):
            raise ValueError("set one of `columns.event_type` (a column) and `event_type` (the type of every row)")
        return self


class ItemFiles(TableFiles):
    """The files of `items`. category_separator: between the categories of one item, where they are one text."""

    columns: ItemColumns
    category_separator: str = Field(default="|", min_length=1)


class UserFiles(TableFiles):
    """The files of `users`."""

    columns: UserColumns


class ImpressionFiles(TableFiles):
    """The files of `impressions`."""

    columns: ImpressionColumns


class Files(Group):
    """The tables of an export. Items or users that are not there are derived from the interactions."""

    interactions: InteractionFiles
    items: ItemFiles | None = None
    users: UserFiles | None = None
    impressions: ImpressionFiles | None = None
