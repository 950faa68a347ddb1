"""The placements of a release: every expression checked against the fields that there are, and compiled to a filter."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.errors import SettingsError
from contracts.expressions import ADVICE, Kind, compile_expression
from contracts.expressions import Expression as Source
from contracts.filters import AllOf, AnyOf, Condition, Filter, Not
from contracts.settings.params_path import PARAMS
from contracts.settings.placements import CONTEXT, TIER, Expression, Placement, Rule, is_built_in
from contracts.settings.placements_file import Origins
from contracts.settings.request import RequestSettings
from contracts.slates import Tier
from recommender.filters import CatalogueFilters
from recommender.generators.sets import GeneratorSet, asked_in_vain

CATEGORIES: Final = "categories"  # the one field of which an item has several


def compiled_placements(request: RequestSettings, generators: GeneratorSet, params: Path = PARAMS) -> RequestSettings:
    """The parameters with each expression of their placements compiled; what is as built in is left out.

    params: the file that they were read from, with placements.yaml beside it: for messages.
    Raises SettingsError, with file, line and the nearest name, for an expression that cannot be compiled, a field, a
    tier or a generator (also of a quota) that is none, or a value of another type than its field's.
    """
    fields = item_fields(CatalogueFilters(generators.catalogue, "being built"))
    compiler = _Compiler(Origins(params), fields, sorted(generators.by_name))
    compiled = {
        name: compiler.placement(name, one, request.at(name).quotas) for name, one in sorted(request.placements.items())
    }
    other = {name: one for name, one in compiled.items() if not is_built_in(name, one)}
    return request.model_copy(update={"placements": other})


def item_fields(filters: CatalogueFilters) -> dict[str, Kind]:
    """What expressions about items may name."""
    return {name: Kind.TEXTS if name == CATEGORIES else Kind(kind) for name, kind in filters.fields.items()}


@dataclass(frozen=True)
class _Compiler:
    origins: Origins
    fields: Mapping[str, Kind]
    generators: list[str]

    def placement(self, name: str, placement: Placement, quotas: Mapping[str, int]) -> Placement:
        """The placement, compiled. quotas: as they are there."""
        for generator in asked_in_vain(placement.request.get("quotas", {}), self.generators):
            raise self._unknown((name, "request", "quotas", generator), "generator", generator, self.generators)
        for generator in placement.generators or ():
            names = (name, "generators", generator)
            if generator not in self.generators:
                raise self._unknown(names, "generator", generator, self.generators)
            if generator not in quotas:
                raise self._error(names, f"`{generator}` has no quota. Say request.quotas.{generator}; 0 will do")
        where = placement.where and self._about_items(placement.where, (name, "where"))
        rules = {rule: self._rule(one, (name, "rules", rule)) for rule, one in sorted(placement.rules.items())}
        return placement.model_copy(update={"where": where, "rules": rules})

    def _rule(self, rule: Rule, names: tuple[str, ...]) -> Rule:
        changes = {"when": self._about_requests(rule.when, (*names, "when"))} if rule.when else {}
        if not rule.of_each_category:
            changes[rule.kind] = self._about_items(rule.items, (*names, rule.kind))
        elif CATEGORIES not in self.fields:
            raise self._error((*names, rule.kind), "no item has a category")
        return rule.model_copy(update=changes)

    def _about_items(self, expression: Expression, names: tuple[str, ...]) -> Expression:
        return _compiled(expression, compile_expression(self._source(expression, names), self.fields))

    def _about_requests(self, expression: Expression, names: tuple[str, ...]) -> Expression:
        said = compile_expression(self._source(expression, names), {TIER: Kind.TEXT}, CONTEXT)
        for tier in _values_of(said, TIER):
            if tier not in list(Tier):
                raise self._unknown(names, "tier", tier, list(Tier))
        return _compiled(expression, said)

    def _source(self, expression: Expression, names: tuple[str, ...]) -> Source:
        origin = self.origins.of(names)
        return Source(expression.text, origin.file, origin.line, ".".join(names))

    def _unknown(self, names: tuple[str, ...], what: str, name: str, known: list[str]) -> SettingsError:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f" Did you mean `{close[0]}`?" if close else ""
        return self._error(names, f"there is no {what} `{name}`.{meant} There are {', '.join(known)}")

    def _error(self, names: tuple[str, ...], problem: str) -> SettingsError:
        origin = self.origins.of(names)
        return SettingsError(f"{origin.file}:{origin.line}: {'.'.join(names)}: {problem}.", ADVICE)


def _compiled(expression: Expression, said: Filter) -> Expression:
    return Expression(text=expression.text, compiled=said.to_json())


def _values_of(said: Filter, field: str) -> Iterator[str]:
    """The texts that a field is compared with, wherever in the filter."""
    match said:
        case Condition():
            if said.field == field:
                yield from (str(value) for value in (said.value if isinstance(said.value, tuple) else (said.value,)))
        case Not():
            yield from _values_of(said.part, field)
        case AllOf() | AnyOf():
            for part in said.parts:
                yield from _values_of(part, field)
