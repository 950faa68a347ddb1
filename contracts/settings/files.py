"""The parameters of source `files`: where a team's own export lies, and which of its columns and words mean what."""

from __future__ import annotations

import codecs
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from contracts.attributes import ATTRIBUTE_NAME, MOST_ATTRIBUTES
from contracts.events import EventType
from contracts.settings.group import Group

Format = Literal["csv", "tsv", "jsonl", "parquet", "excel"]
TimeUnit = Literal["iso", "s", "ms", "us"]
Operator = Literal[
    "equals", "differs_from", "one_of", "none_of", "starts_with", "matches",
    "below", "at_most", "above", "at_least", "is_empty", "is_filled",
]  # fmt: skip
WITHOUT_VALUE: Final = ("is_empty", "is_filled")
OF_LISTS: Final = ("one_of", "none_of")
OF_NUMBERS: Final = ("below", "at_most", "above", "at_least")
FROM_FILE_NAME: Final = "file_name"
UNANSWERED: Final = "unanswered"  # what `slate inspect` writes where only a person knows; it builds nothing


class InteractionColumns(Group):
    """Which column of the export is which of `interactions`; in JSON lines, dots lead into objects: `user.id`.

    quantity: how many were bought; `value` is then the price of one, and becomes what all of them cost.
    """

    user_id: str
    item_id: str
    event_ts: str | None = None
    event_type: str | None = None
    value: str | None = None
    quantity: str | None = None
    session_id: str | None = None
    request_id: str | None = None


class ItemColumns(Group):
    """Which column of the export is which of `items`. Without a title, titles are the ids.

    item_id: not with `from: interactions`, where it is that of the interactions. categories: one column, or a list of
    several. in_stock: yes or no in a word, or how many there are.
    """

    item_id: str | None = None
    title: str | None = None
    categories: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    text: str | None = None
    price: str | None = None
    created_ts: str | None = None
    release_year: str | None = None
    in_stock: str | None = None


class AttributeColumn(Group):
    """A column of the export that is a free attribute of items. type: of its values, the same in every file."""

    column: str
    type: Literal["text", "number", "boolean"] = "text"


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


KEY_COLUMNS: Final[dict[type[Group], frozenset[str]]] = {
    InteractionColumns: frozenset({"user_id", "item_id", "event_ts"}),
    ItemColumns: frozenset({"item_id"}),
    UserColumns: frozenset({"user_id"}),
    ImpressionColumns: frozenset({"request_id", "position", "item_id", "event_ts"}),
}


def required_fields(columns: type[Group]) -> frozenset[str]:
    """The columns of ours without which a row of the table says nothing."""
    return KEY_COLUMNS[columns]


class Condition(Group):
    """A test of one cell of the export, as the file has it. A cell that is empty passes `is_empty` and no other test.

    value: a text or number; a list of them for `one_of` and `none_of`; a regular expression for `matches`; none for
    `is_empty` and `is_filled`. Texts are compared without the blanks around them.
    """

    column: str
    operator: Operator
    value: str | float | tuple[str, ...] | None = None

    @field_validator("value", mode="before")
    @classmethod
    def _numbers_are_text_too(cls, value: Any) -> Any:
        # YAML reads an unquoted 1 as a number.
        return tuple(map(str, value)) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _value_fits(self) -> Condition:
        kinds: dict[bool, str] = {
            self.operator in WITHOUT_VALUE: "no value",
            self.operator in OF_LISTS: "a list as value",
            self.operator in OF_NUMBERS: "a number as value",
        }
        expected = kinds.get(True, "a text as value")
        fits = {
            "no value": self.value is None,
            "a list as value": isinstance(self.value, tuple),
            "a number as value": isinstance(self.value, float),
            "a text as value": isinstance(self.value, str | float),
        }
        if not fits[expected]:
            raise ValueError(f"`{self.operator}` takes {expected}, found {self.value!r}")
        return self

    def __str__(self) -> str:
        words = self.operator.replace("_", " ")
        match self.value:
            case None:
                return f"{self.column} {words}"
            case tuple():
                return f"{self.column} {words} {', '.join(self.value)}"
            case float():
                return f"{self.column} {words} {self.value:g}"
            case _:
                return f"{self.column} {words} {self.value}"


class TableFiles(Group):
    """The files of one table. path: a file, folder or pattern inside `ingest.path`, or a URL (which DVC cannot watch).

    format: null for what the names say (.csv, .tsv, .jsonl, .ndjson, .json, .parquet, each also
    with .gz or .zst; .xlsx, .xls).
    sheet: of an Excel file; null is the first one.
    separator, encoding, decimal, quoted: of text tables; separator null is a comma, in .tsv a tab; quoted false takes
    quotation marks for ordinary text.
    time_unit: `iso` (2024-01-31T12:00:00+01:00), or s, ms, us since 1970; time_format: as strptime's, instead of iso.
    null_words: texts that stand for no value, such as NULL.
    time_zone: that of times which name none, such as Europe/Berlin; null refuses those.
    whole_ids: ids written as whole numbers with a point (17850.0) lose it; null does so where every id of that kind
    that has a point is whole, in all files.
    explode: columns whose cells are lists: each element gets a row of its own; several lists of a row go in step.
    where: conditions that all hold for a row that is read; drop: a row for which one of them holds is left out. What
    they leave out is counted.
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
    sheet: str | None = None
    whole_ids: bool | None = None
    explode: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    drop: tuple[Condition, ...] = ()

    @property
    def tested_columns(self) -> tuple[str, ...]:
        """The columns of the export that conditions look at."""
        return tuple(condition.column for condition in (*self.where, *self.drop))

    @property
    def required_columns(self) -> frozenset[str]:
        """The columns of the export without which a row says nothing."""
        columns = getattr(self, "columns", None)
        if not isinstance(columns, Group):
            return frozenset()
        names = (getattr(columns, name) for name in required_fields(type(columns)))
        return frozenset(name for name in names if name is not None)

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
    """Files of `interactions`. event_types: the export's word -> ours, null for rows to leave out; words that are ours
    already need no entry. event_type: the type of every row, where no column says it.

    event_ts: the time of every row, where no column says it: a moment, or `file_name` for the date in each file's name.
    returns: a row for which one of these conditions holds is a `return`, whatever else says its type.
    anonymous: what a row without a user_id is: `session`, a guest who is known by the session alone, as in served
    traffic; or null, which sends it to quarantine.
    """

    columns: InteractionColumns
    event_type: EventType | None = None
    event_types: dict[str, EventType | None] = Field(default_factory=dict)
    event_ts: datetime | Literal["file_name"] | None = None
    returns: tuple[Condition, ...] = ()
    anonymous: Literal["session"] | None = None

    @property
    def tested_columns(self) -> tuple[str, ...]:
        """The columns of the export that conditions look at."""
        return (*super().tested_columns, *(condition.column for condition in self.returns))

    @field_validator("event_ts", mode="before")
    @classmethod
    def _question_is_answered(cls, value: Any) -> Any:
        if value == UNANSWERED:
            raise ValueError(
                f"when did it happen? No column says it: write `{FROM_FILE_NAME}` where each file is named by its day, "
                "or the day of the export, such as 2024-01-31, for all rows"
            )
        return value

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

    @model_validator(mode="after")
    def _one_thing_says_the_time(self) -> InteractionFiles:
        if (self.event_ts is None) == (self.columns.event_ts is None):
            raise ValueError(
                "set one of `columns.event_ts` (a column) and `event_ts` (the time of every row: a moment, or "
                f"`{FROM_FILE_NAME}` for the date in each file's name)"
            )
        if self.columns.quantity is not None and self.columns.value is None:
            raise ValueError("`columns.quantity` needs the price of one: set `columns.value`")
        if self.anonymous is not None and self.columns.session_id is None:
            raise ValueError("`anonymous: session` needs `columns.session_id`")
        return self


class ItemFiles(TableFiles):
    """The files of `items`. category_separator: between the categories of one item, where they are one text.

    from: `interactions` takes the columns out of the rows of interactions, whose files say how they are written.
    Of several rows of one item each column has the latest value that is not empty.
    attributes: what else is known of an item, by a name of your choice; a column alone is one of texts.
    """

    columns: ItemColumns
    attributes: dict[Annotated[str, Field(pattern=f"^{ATTRIBUTE_NAME}$")], AttributeColumn] = Field(
        default_factory=dict, max_length=MOST_ATTRIBUTES
    )
    category_separator: str = Field(default="|", min_length=1)
    from_: Literal["interactions"] | None = Field(default=None, alias="from")

    @field_validator("attributes", mode="before")
    @classmethod
    def _a_column_alone_is_of_texts(cls, attributes: Any) -> Any:
        if not isinstance(attributes, dict):
            return attributes
        return {name: {"column": one} if isinstance(one, str) else one for name, one in attributes.items()}

    @model_validator(mode="after")
    def _one_thing_says_the_id(self) -> ItemFiles:
        if self.from_ is None and self.columns.item_id is None:
            raise ValueError("`columns.item_id` is missing (with `from: interactions` it is that of the interactions)")
        if self.from_ is not None and self.columns.item_id is not None:
            raise ValueError("with `from: interactions` leave out `columns.item_id`: it is that of the interactions")
        if self.from_ is not None and self.columns == ItemColumns() and not self.attributes:
            raise ValueError("with `from: interactions` name at least one column, such as `columns.title`")
        return self


class UserFiles(TableFiles):
    """The files of `users`."""

    columns: UserColumns


class ImpressionFiles(TableFiles):
    """The files of `impressions`."""

    columns: ImpressionColumns


class Files(Group):
    """The tables of an export. Items or users that are not there are derived from the interactions.

    interactions: one mapping, or a list of them, each for files of its own.
    """

    interactions: tuple[InteractionFiles, ...]
    items: ItemFiles | None = None
    users: UserFiles | None = None
    impressions: ImpressionFiles | None = None

    @field_validator("interactions", mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: Any) -> Any:
        if isinstance(value, dict | InteractionFiles):
            return (value,)
        if not value:
            raise ValueError("at least one mapping is needed")
        return value
