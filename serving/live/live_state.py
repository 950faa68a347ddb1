"""Everything that a server knows after one look at the store; immutable, so that a request reads it without a lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from contracts.errors import SlateworkError
from feature_store.online.serving_targets import ServingTargets
from serving.live.store_state import NOTHING_NAMED
from serving.served import Arm, Lineup


@dataclass(frozen=True)
class LiveState:
    """Who answers, what the store names, and what keeps an arm from following it.

    lineup: None until the first release answered its golden queries. earlier: releases that were in production before
    the one that is, the latest first.
    """

    lineup: Lineup | None = None
    targets: ServingTargets = NOTHING_NAMED
    problems: Mapping[Arm, SlateworkError] = field(default_factory=dict)
    earlier: tuple[str, ...] = ()

    @property
    def served_targets(self) -> ServingTargets:
        """What the store named, with the pointer that production answers with."""
        return self.targets if self.lineup is None else replace(self.targets, pointer=self.lineup.pointer)

    def releases_to_have(self, named: ServingTargets, n_kept: int) -> list[str]:
        """The releases to have in memory, the most urgent first: named, served, and the last n_kept of production."""
        targets = [target.release_id for target in (named.pointer, named.canary, named.staged) if target]
        served = [] if self.lineup is None else [served.release_id for served in self.lineup]
        return list(dict.fromkeys([*targets, *served, *self.earlier[: n_kept - 1]]))

    def followed_by(
        self, lineup: Lineup | None, targets: ServingTargets, problems: Mapping[Arm, SlateworkError], n_kept: int
    ) -> LiveState:
        """The state after this one; of the releases before, the last n_kept are known."""
        following = LiveState(lineup, targets, problems, self.earlier)
        if lineup is None or not following.moved_since(self):
            return following
        left = () if self.lineup is None else (self.lineup.production.release_id,)
        earlier = [name for name in dict.fromkeys([*left, *self.earlier]) if name != lineup.production.release_id]
        return replace(following, earlier=tuple(earlier[:n_kept]))

    def moved_since(self, before: LiveState) -> bool:
        """Whether production answers with another pointer than before."""
        return self.lineup is not None and (before.lineup is None or self.lineup.pointer != before.lineup.pointer)

    def same_metrics(self, other: LiveState) -> bool:
        """Whether the metrics say the same of both."""
        return _metric_labels(self) == _metric_labels(other)


def _metric_labels(state: LiveState) -> tuple[object, ...]:
    if state.lineup is None:
        return (None, *state.problems)
    served = [(served.arm, served.release_id, served.generation_id) for served in state.lineup]
    return (state.lineup.pointer, state.lineup.share, *served, *state.problems)
