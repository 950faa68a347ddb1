"""Gates on the data of a release: how old it is, and how far it has moved from that of the release in production."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from contracts.clock import Clock
from contracts.drift import ColumnDrift, Verdict, drift_between
from contracts.errors import ArtefactError
from contracts.profiles import TableProfile, read_profiles
from contracts.settings.drift import DriftSettings
from contracts.settings.promotion import PromotionSettings
from release.bundle.bundle import VALIDATION
from release.bundle.manifest import REBUILD
from release.bundle.open_bundle import OpenBundle
from release.gates.gate import Gate

N_NAMED: Final = 3  # columns told in a sentence; validation.json of both bundles has all
DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class DataGates:
    """clock: what time it is for a release; None where time is the data's own (`serving.clock: release`).

    By the data's own time it is as late as the latest data that is known, of this release or of the one in production:
    history never ages by itself, but a release of older data than what is served does.
    accepted: why somebody takes data that moved, or that cannot be compared; empty where nobody does.
    """

    settings: PromotionSettings
    clock: Clock | None
    accepted: str = ""

    def evaluate(self, bundle: OpenBundle, champion: OpenBundle | None) -> tuple[Gate, ...]:
        """Both gates, in a fixed order; drift says so where there is no release in production."""
        return (self._freshness(bundle, champion), self._drift(bundle, champion))

    def _freshness(self, bundle: OpenBundle, champion: OpenBundle | None) -> Gate:
        try:
            ends = [one.manifest.moment for one in (bundle, champion) if one]
        except ArtefactError as error:
            return Gate("freshness", passed=False, sentence=error.problem)
        now, whose = self._now(ends)
        age, most = (now - ends[0]) / DAY, self.settings.max_age_days
        sentence = (
            f"Its data ends {ends[0]:%Y-%m-%d %H:%M}, {max(age, 0.0):.1f} days before {whose}; {most:g} are allowed."
        )
        if self.clock is None and len(ends) == 1:
            sentence = (
                f"Its data ends {ends[0]:%Y-%m-%d %H:%M}, where its clock stands; there is no release to be older than."
            )
        limits = ("promotion.max_age_days",)
        return Gate("freshness", age <= most, sentence, round(age, 3), most, limits=limits)

    def _now(self, ends: list[datetime]) -> tuple[datetime, str]:
        if self.clock is not None:
            return self.clock.now(), "now"
        return max(ends), "the latest data of it and of the release in production"

    def _drift(self, bundle: OpenBundle, champion: OpenBundle | None) -> Gate:
        if champion is None:
            return Gate.not_judged("drift", "nothing is in production to compare with.")
        try:
            then, now = _profiles(champion), _profiles(bundle)
        except ArtefactError as error:
            return Gate("drift", passed=False, sentence=error.problem)
        if not then:
            # Else nothing built after profiles came to be could ever follow what was built before.
            return Gate.not_judged("drift", "the release in production was built before columns were profiled.")
        if not now:
            sentence = "Not comparable: it was built before columns were profiled, unlike production."
            gate = Gate("drift", passed=False, sentence=sentence, acceptable=True)
            return gate.taken(self.accepted, judged=False) if self.accepted else gate
        return self._judged(drift_between(then, now, self.settings.drift))

    def _judged(self, drifts: tuple[ColumnDrift, ...]) -> Gate:
        limits = self.settings.drift
        judged = [drift for drift in drifts if drift.psi is not None]
        if not judged:
            return Gate.not_judged("drift", f"no column has {limits.min_rows:,} rows on both sides.")
        broken = [drift for drift in judged if drift.verdict is Verdict.BROKEN]
        moved = [drift for drift in judged if drift.verdict is Verdict.MOVED]
        psi, most = max((drift.psi or 0.0, f"{drift.table}.{drift.column}") for drift in judged)
        sentences = [
            f"Of {len(judged)} columns, {most} moved most: {psi:.3f}, where {limits.max_psi:g} is allowed.",
            *_listed("Too far", broken),
            *_listed("Worth a look", moved),
        ]
        gate = Gate(
            "drift",
            not broken,
            " ".join(sentences),
            round(psi, 6),
            limits.max_psi,
            n=len(judged),
            limits=_broken_limits(broken, limits),
            acceptable=bool(broken),
        )
        return gate.taken(self.accepted) if broken and self.accepted else gate


def _profiles(bundle: OpenBundle) -> dict[str, TableProfile]:
    """What the columns of a bundle's tables looked like; raises ArtefactError where its validation.json is none."""
    try:
        return read_profiles(bundle.validation)
    except (TypeError, ValueError) as error:
        raise ArtefactError(f"{bundle.folder / VALIDATION} is no result of a validation: {error}", REBUILD) from error


def _broken_limits(broken: list[ColumnDrift], limits: DriftSettings) -> tuple[str, ...]:
    """The parameters above which these columns are."""
    too_far = {
        "promotion.drift.max_psi": any((drift.psi or 0.0) > limits.max_psi for drift in broken),
        "promotion.drift.max_category_share": any(drift.category_share > limits.max_category_share for drift in broken),
    }
    return tuple(name for name, is_above in too_far.items() if is_above)


def _listed(word: str, drifts: list[ColumnDrift]) -> Iterator[str]:
    if drifts:
        columns = ", ".join(f"{drift.table}.{drift.column} ({drift.reason})" for drift in drifts[:N_NAMED])
        more = f" and {len(drifts) - N_NAMED} more" if len(drifts) > N_NAMED else ""
        yield f"{word}: {columns}{more}."
