"""Where a slate is shown, and what holds there: the placement of a request, and its rules as bitmaps of the release."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from contracts.errors import UnknownId, WrongInput
from contracts.filters import AllOf, AnyOf, Condition, Filter, Not
from contracts.ids import ItemId
from contracts.settings.placements import CONTEXT, TIER, Placement, Rule, is_built_in
from contracts.slates import RecommendRequest, Surface, Tier
from recommender.allowed_items import AllowedItems
from recommender.filters import CatalogueFilters
from recommender.slates.rules import Boost, Limit, Pin, Promotion, SlateRules
from release.answering.tiers import Scorer, TierPlan, plan_for
from release.bundle.bundle import Release

LEAST_NEEDED: Final = 10  # candidates that are looked for because of a rule, so that the ranker has a choice
MOST_KEPT: Final = 64  # combinations of rules of a placement: which of them hold is for the client to say


@dataclass(frozen=True)
class Needed:
    """Items of which a rule puts some into the slate. n: how many candidates among them are looked for."""

    items: AllowedItems
    n: int


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
        if is_built_in(self.name, self.placement):
            return ""
        return f"+at-{self.name}{''.join(f'-without-{rule}' for rule in sorted(without))}"

    def blocks_of(self, holding: Sequence[str]) -> tuple[str, ...]:
        """Of these rules those that say what is not shown."""
        return tuple(name for name in holding if self.placement.rules[name].kind == "block")

    def filters_of(self, holding: Sequence[str], asked: Filter | None) -> list[Filter]:
        """What every item must satisfy: by this placement, by its rules that hold, and by the request."""
        blocks: list[Filter] = [Not(rule.items.filter) for rule in self._of(self.blocks_of(holding))]
        own = [self.placement.where.filter] if self.placement.where else []
        return [*own, *blocks, *([asked] if asked else [])]

    def allowed(self, holding: Sequence[str], asked: Filter | None) -> AllowedItems | None:
        """The items that satisfy all of `filters_of`; None for every item."""
        return self._allowed(holding, asked, None)

    def needed(self, holding: Sequence[str], asked: Filter | None, k: int) -> list[Needed]:
        """Of each rule that puts its items into a slate of k: those that may be shown, and how many candidates of them.

        As many as the rules have places would leave no choice: twice as many, and at least LEAST_NEEDED; and one for
        each of these rules, which may be about the same items. Never more than k.
        """
        putting = [name for name in holding if self.placement.rules[name].kind in ("pin", "promote")]
        least = max(LEAST_NEEDED, len(putting))
        needed = []
        for name in putting:
            n_places = math.ceil(k * (self.placement.rules[name].share or 0))
            items = self._allowed(holding, asked, name)
            if items is not None:
                needed.append(Needed(items, min(k, max(least, 2 * n_places))))
        return needed

    def rules(self, holding: tuple[str, ...]) -> SlateRules:
        """What these rules do to ranked candidates."""
        return self._slate_rules(holding)

    def _allowed(self, holding: Sequence[str], asked: Filter | None, putting: str | None) -> AllowedItems | None:
        """As `allowed`; of the items of one rule alone, where one is named.

        What the placement alone says is kept by the placement: no request takes its room.
        """
        if asked is None:
            return self._allowed_here(self.blocks_of(holding), putting)
        return self.filters.allowed_by_all([*self.filters_of(holding, asked), *self._own_items(putting)])

    @cached_property
    def _allowed_here(self) -> Callable[[tuple[str, ...], str | None], AllowedItems | None]:
        return lru_cache(MOST_KEPT)(self._compiled_here)

    def _compiled_here(self, blocks: tuple[str, ...], putting: str | None) -> AllowedItems | None:
        filters = [*self.filters_of(blocks, None), *self._own_items(putting)]
        return self.filters.compiled(filters) if filters else None

    def _own_items(self, rule: str | None) -> list[Filter]:
        return [] if rule is None else [self.placement.rules[rule].items.filter]

    @cached_property
    def _slate_rules(self) -> Callable[[tuple[str, ...]], SlateRules]:
        return lru_cache(MOST_KEPT)(self._joined_rules)

    def _joined_rules(self, holding: tuple[str, ...]) -> SlateRules:
        rules = [self._compiled_rules[name] for name in holding if name in self._compiled_rules]
        return SlateRules(
            boosts=tuple(rule for rule in rules if isinstance(rule, Boost)),
            pins=tuple(rule for rule in rules if isinstance(rule, Pin)),
            promotions=tuple(rule for rule in rules if isinstance(rule, Promotion)),
            limits=tuple(rule for rule in rules if isinstance(rule, Limit)),
        )

    @cached_property
    def _compiled_rules(self) -> dict[str, Boost | Pin | Promotion | Limit]:
        """What each rule does to ranked candidates, by its name: compiled once, whichever of them hold."""
        rules = self.placement.rules.items()
        return {name: self._compiled_rule(name, rule) for name, rule in rules if rule.kind != "block"}

    def _compiled_rule(self, name: str, rule: Rule) -> Boost | Pin | Promotion | Limit:
        if rule.of_each_category:
            return Limit(name, None, rule.most or 1, rule.within or 0, bool(rule.strict))
        items = self.filters.compiled([rule.items.filter])
        match rule.kind:
            case "pin":
                return Pin(name, items, rule.position or 1)
            case "promote":
                return Promotion(name, items, rule.share or 0, bool(rule.strict))
            case "limit":
                return Limit(name, items, rule.most or 1, rule.within or 0, bool(rule.strict))
            case kind:
                return Boost(name, items, (-1.0 if kind == "bury" else 1.0) * (rule.strength or 0))

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
    return release.kept((Place, name), lambda: Place(name, known[name], release.filters))


def most_items(release: Release, request: RecommendRequest) -> int:
    """How many items may be asked for where the request's slate is shown; raises as `place_of`."""
    return release.at(place_of(release, request).name).request.max_k


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
    """Whether a condition on requests holds, without regard to case.

    A comparison never holds of what is not told, so its denial does: `context.device != "phone"` where no device is.
    """
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
