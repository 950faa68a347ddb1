"""What the columns of a table looked like: counts alone, of bounded size, that identify nobody.

A profile is made where the rows are (sources.validation.profile_build) and travels in the result of a validation;
contracts.drift compares two.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from contracts.settings.group import Group

Count = Annotated[int, Field(ge=0)]
HOURS = 24


class _ProfiledColumn(Group):
    """missing: rows without a value, of `total` rows."""

    missing: Count

    @property
    def total(self) -> int:
        return self.missing + self._present()

    def _present(self) -> int:
        raise NotImplementedError


class NumberProfile(_ProfiledColumn):
    """counts[i]: values above uppers[i - 1] and at most uppers[i]; uppers[0] is the least value there is.

    exact: uppers are all the values there are; else quantiles of them.
    """

    kind: Literal["number"] = "number"
    exact: bool
    uppers: list[float]
    counts: list[Count]

    @model_validator(mode="after")
    def _bins_follow_one_another(self) -> NumberProfile:
        if len(self.uppers) != len(self.counts) or any(low >= high for low, high in pairwise(self.uppers)):
            raise ValueError("uppers must rise, with a count each")
        return self

    def _present(self) -> int:
        return sum(self.counts)


class HourProfile(_ProfiledColumn):
    """counts: of the times in each hour of the day, UTC, from midnight."""

    kind: Literal["hour"] = "hour"
    counts: list[Count] = Field(min_length=HOURS, max_length=HOURS)

    def _present(self) -> int:
        return sum(self.counts)


class CategoryProfile(_ProfiledColumn):
    """counts: by category, of those that are common; other: all the rest. Of a list each entry counts."""

    kind: Literal["category"] = "category"
    counts: dict[str, Count]
    other: Count

    def _present(self) -> int:
        return sum(self.counts.values()) + self.other


class PresenceProfile(_ProfiledColumn):
    """present: rows with a value, of which nothing else is told: an id, a text."""

    kind: Literal["presence"] = "presence"
    present: Count

    def _present(self) -> int:
        return self.present


ColumnProfile = NumberProfile | HourProfile | CategoryProfile | PresenceProfile
TableProfile = dict[str, ColumnProfile]
_TABLE: TypeAdapter[TableProfile] = TypeAdapter(dict[str, Annotated[ColumnProfile, Field(discriminator="kind")]])


def read_profiles(result: dict[str, Any]) -> dict[str, TableProfile]:
    """The profiles in the result of a validation, by table; none where it was made before there were any.

    Raises ValueError for what is no profile, TypeError for what is no result.
    """
    try:
        profiles = {name: table["profile"] for name, table in result.get("tables", {}).items() if "profile" in table}
        return {name: _TABLE.validate_python(profile) for name, profile in profiles.items()}
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (AttributeError, TypeError) as error:
        raise TypeError(f"its `tables` are none: {error!r}") from error


def write_profile(profile: TableProfile) -> dict[str, Any]:
    """A table's profile as JSON can say it."""
    return {name: column.model_dump() for name, column in profile.items()}
