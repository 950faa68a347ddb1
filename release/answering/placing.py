"""Where a slate is shown, and what holds there: the placement of a request, and its rules as bitmaps of the release."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from contracts.errors import UnknownId, WrongInput
from contracts.filters import AllOf, AnyOf, Condition, Filter, Not
from contracts.ids import ItemId
from contracts.settings.placements import BUILT_IN, Placement, Rule
from contracts.slates import RecommendRequest, Surface, Tier
from recommender.allowed_items import AllowedItems
from recommender.filters import CatalogueFilters
from recommender.slates.rules import Boost, Limit, Pin, Promotion, SlateRules
from release.answering.tiers import Scorer, TierPlan, plan_for
from release.bundle.bundle import Release

TIER: Final = "tier"
CONTEXT: Final = "context."


@dataclass(frozen=True)
class Place:
    """A placement of a release. filters: of its catalogue."""

    name: str
    placement: Placement
    filters: CatalogueFilters

    @cached_property
    def _plan(self) -> TierPlan | None:
        """How the generators that it names are fused; None where the tier says who proposes."""
        weights = self.placement.generators
        return None if weights is None else TierPlan(Scorer.FUSION, weights)

    @cached_property
    def _filled_plan(self) -> TierPlan | None:
        return self._plan and self._plan.filled

    @cached_property
    def _rules(self) -> dict[tuple[str, ...], SlateRules]:
        """Those made so far, by the names of the rules that hold: one object for all requests that are served alike."""
        return {}

    def plan(self, tier: Tier, holding: tuple[str, ...], asked: Filter | None) -> TierPlan:
        """Who proposes and who puts in order here, for a request of this tier and filter, while these rules hold."""
        filtered = bool(self.filters_of(holding, asked)) or self.rules(holding).put_items
        own = self._filled_plan if filtered else self._plan
        return own or plan_for(tier, self.surface, filtered=filtered)

    @property
    def surface(self) -> Surface:
        """What stands around it, for the request path."""
        return Surface.ITEM if self.placement.beside_item else Surface.HOME

    def holding(self, tier: Tier, context: Mapping[str, str], without: Sequence[str]) -> tuple[str, ...]:
        """The names of the rules that hold for a request of this tier and context, but for those left out."""
        told = {TIER: str(tier), **{CONTEXT + name: value for name, value in context.items()}}
        return tuple(
            name
            for name, rule in sorted(self.placement.rules.items())
            if name not in without and (rule.when is None or _holds(rule.when.filter, told))
        )

    def policy_suffix(self, without: Sequence[str]) -> str:
        """What this place adds to the name of the policy that scored; nothing where it is as every release has it."""
        if self.placement.model_copy(update={"description": ""}) == BUILT_IN.get(self.name):
            return ""
        return f"+at-{self.name}{''.join(f'-without-{rule}' for rule in sorted(without))}"

    def filters_of(self, holding: Sequence[str], asked: Filter | None) -> list[Filter]:
        """What every item must satisfy: by this placement, by its rules that hold, and by the request."""
        blocks: list[Filter] = [Not(rule.items.filter) for rule in self._of(holding) if rule.kind == "block"]
        own = [self.placement.where.filter] if self.placement.where else []
        return [*own, *blocks, *([asked] if asked else [])]

    def needed(self, holding: Sequence[str], asked: Filter | None) -> list[AllowedItems]:
        """For each rule that puts its items there: those of them that may be shown, of which candidates are needed."""
        rules = [rule for rule in self._of(holding) if rule.kind in ("pin", "promote")]
        everywhere = self.filters_of(holding, asked)
        allowed = [self.filters.allowed_by_all([*everywhere, rule.items.filter]) for rule in rules]
        return [items for items in allowed if items is not None]

    def rules(self, holding: tuple[str, ...]) -> SlateRules:
        """What these rules do to ranked candidates."""
        if holding not in self._rules:
            self._rules[holding] = self._slate_rules(holding)
        return self._rules[holding]

    def _slate_rules(self, holding: Sequence[str]) -> SlateRules:
        of_kind: dict[str, list[tuple[str, Rule]]] = {}
        for name, rule in zip(holding, self._of(holding), strict=True):
            of_kind.setdefault(rule.kind, []).append((name, rule))
        boosts = [(name, rule, 1.0) for name, rule in of_kind.get("boost", [])]
        boosts += [(name, rule, -1.0) for name, rule in of_kind.get("bury", [])]
        return SlateRules(
            boosts=tuple(Boost(name, self._items(rule), sign * (rule.strength or 0)) for name, rule, sign in boosts),
            pins=tuple(Pin(name, self._items(rule), rule.position or 1) for name, rule in of_kind.get("pin", [])),
            promotions=tuple(
                Promotion(name, self._items(rule), rule.share or 0, bool(rule.strict))
                for name, rule in of_kind.get("promote", [])
            ),
            limits=tuple(self._limit(name, rule) for name, rule in of_kind.get("limit", [])),
        )

    def _limit(self, name: str, rule: Rule) -> Limit:
        items = None if rule.of_each_category else self._items(rule)
        return Limit(name, items, rule.most or 1, rule.within or 0, bool(rule.strict))

    def _items(self, rule: Rule) -> AllowedItems:
        items = self.filters.allowed(rule.items.filter)
        assert items is not None  # noqa: S101 - of a filter that is there
        return items

    def _of(self, holding: Sequence[str]) -> list[Rule]:
        return [self.placement.rules[name] for name in holding]


def place_of(release: Release, request: RecommendRequest) -> Place:
    """Where the request's slate is shown.

    Raises UnknownId, with the nearest name, for a placement or a rule to leave out that the release has not, and
    WrongInput where an item is named and none belongs there, or none is and one does.
    """
    name = request.placement or str(request.surface)
    known = release.request.all_placements
    if name not in known:
        raise _unknown(release, f"has no placement {name!r:.80}", name, list(known), "Its placements are")
    if request.placement:
        _check_item(name, request.item_id, beside_item=known[name].beside_item)
    for rule in request.without_rules:
        if rule not in known[name].rules:
            rules = list(known[name].rules)
            raise _unknown(release, f"has no rule {rule!r:.80} at placement {name}", rule, rules, "Its rules there are")
    if name not in release.places:
        release.places[name] = Place(name, known[name], release.filters)
    place: Place = release.places[name]
    return place


def _check_item(name: str, item_id: ItemId | None, *, beside_item: bool) -> None:
    if beside_item and item_id is None:
        raise WrongInput(f"Placement {name} stands beside an item, and the request names none.", "Name an `item_id`.")
    if item_id is not None and not beside_item:
        raise WrongInput(f"Placement {name} stands beside no item.", "Leave `item_id` out, or name another placement.")


def _unknown(release: Release, problem: str, name: str, known: Sequence[str], there: str) -> UnknownId:
    close = difflib.get_close_matches(name, known, n=1)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    return UnknownId(f"Release {release.release_id} {problem}.", f"{meant}{there} {', '.join(known) or 'none'}.")


def _holds(said: Filter, told: Mapping[str, str]) -> bool:
    """Whether a condition on requests holds; without regard to case, and never for what is not told."""
    match said:
        case Condition():
            values = said.value if isinstance(said.value, tuple) else (said.value,)
            return said.field in told and told[said.field].casefold() in {str(value).casefold() for value in values}
        case AllOf():
            return all(_holds(part, told) for part in said.parts)
        case AnyOf():
            return any(_holds(part, told) for part in said.parts)
        case Not():
            return not _holds(said.part, told)
