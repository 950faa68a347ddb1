"""Placements: where slates are shown, and what holds there. `placements.yaml` declares them, `request.placements` in
params.yaml changes them, and a release carries both as one, compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import Field, model_validator

from contracts.filters import Filter, filter_of
from contracts.settings.group import Group
from contracts.settings.placement_names import HOME, ITEM

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]

EACH_CATEGORY: Final = "each category"
MOST_RULES: Final = 32  # of a placement
MOST_ITEMS: Final = 500  # the most any release may be set to answer; each has its own `request.max_k` below it
# What conditions on requests name: the tier, and whatever the request tells.
TIER: Final = "tier"
CONTEXT: Final = "context."
# What a rule does, and what it needs and may have beside it.
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "boost": ("strength",), "bury": ("strength",), "block": (), "pin": ("position",), "promote": ("share",),
    "limit": ("most",),
}  # fmt: skip
_ALLOWED: Final[Mapping[str, tuple[str, ...]]] = {"promote": ("strict",), "limit": ("strict", "within")}
_OPTIONS: Final = ("strength", "position", "share", "most", "within", "strict")


class Expression(Group):
    """A condition in words, and the filter that it was compiled to when the release was built.

    In a file it is the text alone.
    """

    text: str = Field(min_length=1, max_length=4000)
    compiled: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_text_in_a_file(cls, value: Any) -> Any:
        return {"text": value} if isinstance(value, str) else value

    @cached_property
    def filter(self) -> Filter:
        """What the condition lets through; raises ValueError where it was not compiled."""
        if self.compiled is None:
            raise ValueError(f"the expression `{self.text}` was not compiled")
        return filter_of(self.compiled)


class Rule(Group):
    """One rule of a placement: what it does to the items that its expression names, and when.

    boost, bury: their scores rise or fall by `strength`, in spreads of a request's scores. block: they are not shown.
    pin: the best of them stands at `position`. promote: they take the `share` of the places, and no more. limit: at
    most `most` of them stand in any `within` places, or in the slate; `each category` counts each by itself. strict:
    rather fewer items than a broken share or limit. when: of the request: its tier and context; left out, always.
    """

    boost: Expression | None = None
    bury: Expression | None = None
    block: Expression | None = None
    pin: Expression | None = None
    promote: Expression | None = None
    limit: Expression | None = None
    strength: float | None = Field(default=None, gt=0, le=10)
    position: int | None = Field(default=None, ge=1, le=MOST_ITEMS)
    share: float | None = Field(default=None, gt=0, le=1)
    most: int | None = Field(default=None, ge=1, le=MOST_ITEMS)
    within: int | None = Field(default=None, ge=2, le=50)
    strict: bool | None = None
    when: Expression | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Rule:
        kinds = [kind for kind in _NEEDED if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(f"a rule does one of {', '.join(_NEEDED)}; this one has {' and '.join(kinds) or 'none'}")
        (kind,) = kinds
        missing = [name for name in _NEEDED[kind] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a rule that says `{kind}` needs `{missing[0]}`")
        given = {name for name in _OPTIONS if getattr(self, name) is not None}
        further = sorted(given - {*_NEEDED[kind], *_ALLOWED.get(kind, ())})
        if further:
            raise ValueError(f"`{further[0]}` says nothing of a rule that says `{kind}`")
        return self

    @property
    def kind(self) -> str:
        """What it does, by the name of the parameter."""
        return next(kind for kind in _NEEDED if getattr(self, kind) is not None)

    @property
    def items(self) -> Expression:
        """The expression of the items that it is about."""
        found: Expression = getattr(self, self.kind)
        return found

    @property
    def of_each_category(self) -> bool:
        return self.limit is not None and self.limit.text == EACH_CATEGORY


class Placement(Group):
    """One place where slates are shown.

    beside_item: it stands on the page of an item, which a request names. where: what every item must satisfy.
    generators: who proposes here, and how much each weighs in the fusion of their ranks; null leaves both to the tier.
    request: what is otherwise here of the parameters `request`. rules: by name, and read in the order of their names.
    """

    description: str = ""
    beside_item: bool = False
    where: Expression | None = None
    generators: dict[str, Annotated[float, Field(gt=0, le=1000)]] | None = Field(default=None, min_length=1)
    request: dict[str, Any] = Field(default={})
    rules: dict[Name, Rule] = Field(default={}, max_length=MOST_RULES)

    @model_validator(mode="after")
    def _shares_are_of_one_whole(self) -> Placement:
        whole = sum(rule.share or 0 for rule in self.rules.values())
        if whole > 1 + 1e-9:
            raise ValueError(f"the shares of its promotions are {whole:g} together; expected 1 at most")
        return self

    @property
    def fills_places(self) -> bool:
        """Whether some rule says more of places than an order of scores can."""
        return any(rule.kind in ("pin", "promote", "limit") for rule in self.rules.values())


# The placements that every release has, unless it declares them otherwise.
BUILT_IN: Final[Mapping[str, Placement]] = {HOME: Placement(), ITEM: Placement(beside_item=True)}


def declared_placements(placements: Mapping[str, Placement]) -> dict[str, Any]:
    """As JSON, what files declare: expressions as their text, compiled or not, without what is as built in."""
    return {
        name: _with_texts(placement.model_dump(mode="json", exclude_none=True))
        for name, placement in sorted(placements.items())
        if not is_built_in(name, placement)
    }


def _with_texts(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("text"), str) and value.keys() <= Expression.model_fields.keys():
        return value["text"]
    return {name: _with_texts(one) for name, one in value.items()}


def is_built_in(name: str, placement: Placement) -> bool:
    """Whether it is a placement that every release has, as every release has it."""
    return placement.model_copy(update={"description": ""}) == BUILT_IN.get(name)
