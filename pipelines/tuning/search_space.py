"""What is searched: the parameters that were asked for, among those that declare a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from contracts.errors import WrongInput
from contracts.settings.search_range import TunableParameter, tunable_parameters
from contracts.settings.settings import Settings
from pipelines.rolling.kept_fits import FEATURES, GENERATORS, MEASURED, RANKER, ROWS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Overrides = dict[str, float]  # by key of params.yaml
OF_ROWS = ("candidates.", "request.quotas.", "request.n_ranked")  # what the ranker's training rows are made with


@dataclass(frozen=True)
class SearchSpace:
    """The parameters that are searched, in the order of their groups."""

    parameters: tuple[TunableParameter, ...]

    @classmethod
    def of(cls, settings: Settings, only: Sequence[str] = ()) -> SearchSpace:
        """All that have a range; with `only`, those of these names, or in these groups.

        Raises WrongInput, with what can be tuned, for a name that stands for none of them.
        """
        off = {f"request.quotas.{name}" for name in settings.candidates.off}  # nothing can be asked of those
        every = [one for one in tunable_parameters(settings) if one.key not in off]
        for name in only:
            if not any(_is_named(one.key, name) for one in every):
                raise WrongInput(*_unknown(name, [one.key for one in every]))
        return cls(tuple(one for one in every if not only or any(_is_named(one.key, name) for name in only)))

    @property
    def keys(self) -> list[str]:
        return [one.key for one in self.parameters]

    def distributions(self) -> dict[str, BaseDistribution]:
        """By key, as Optuna draws it."""
        return {one.key: _distribution(one) for one in self.parameters}

    def overrides(self, drawn: Mapping[str, float]) -> Overrides:
        """What was drawn, as it is measured and would be written: three digits say enough."""
        return {one.key: _written(one, drawn[one.key]) for one in self.parameters}

    def current(self) -> Overrides | None:
        """The values of the parameters now; None where one of them lies outside of its range."""
        inside = all(_is_drawn(one) for one in self.parameters)
        return {one.key: one.current for one in self.parameters} if inside else None

    def steps_shared(self) -> frozenset[str]:
        """The steps of a fit whose results another trial can use."""
        shared = {FEATURES, MEASURED}
        if not any(key.startswith("candidates.") for key in self.keys):
            shared.add(GENERATORS)
        if not any(key.startswith(OF_ROWS) for key in self.keys):
            shared.add(ROWS)
            shared |= set() if any(key.startswith("ranking.") for key in self.keys) else {RANKER}
        return frozenset(shared)


def _is_named(key: str, name: str) -> bool:
    return key == name or key.startswith(f"{name}.")


def _unknown(name: str, keys: Sequence[str]) -> tuple[str, str]:
    groups = {key[:place] for key in keys for place, sign in enumerate(key) if sign == "."}
    close = get_close_matches(name, [*keys, *groups], n=1)
    hint = f"Did you mean `--only {close[0]}`? " if close else ""
    return (
        f"`--only {name}` names no parameter that can be tuned: those are {', '.join(keys)}.",
        f"{hint}A parameter is tuned once it declares a range (SearchRange) in contracts/settings.",
    )


def _distribution(one: TunableParameter) -> BaseDistribution:
    from optuna.distributions import FloatDistribution, IntDistribution  # noqa: PLC0415 - takes half a second

    low, high, log = one.range.low, one.range.high, one.range.log
    if one.is_count:
        return IntDistribution(int(low), int(high), log=log, step=one.range.step)
    return FloatDistribution(low, high, log=log)


def _written(one: TunableParameter, value: float) -> float:
    if one.is_count:
        return int(value)
    return min(max(float(f"{value:.3g}"), one.range.low), one.range.high)


def _is_drawn(one: TunableParameter) -> bool:
    steps = (one.current - one.range.low) / one.range.step if one.is_count else 0.0
    return one.range.low <= one.current <= one.range.high and steps == int(steps)
