"""Values that are served and went missing from the online store are written again: a receipt alone is not believed."""

from __future__ import annotations

from feature_store.online.serving_targets import read_serving_targets
from feature_store.publishing.completeness import missing_values
from release.promotion.switch import Switch


def republish_missing(switch: Switch) -> tuple[str, ...]:
    """Publish again every generation that production, a canary or Staging names and that is not wholly in the store.

    Returns what each lacked, in words. Raises as publishing does.
    """
    targets = read_serving_targets(switch.client, switch.app)
    named = {one.generation_id: one for one in (targets.pointer, targets.canary, targets.staged) if one is not None}
    lacked = []
    for target in named.values():
        problem = missing_values(switch.client, switch.app, target.generation_id, target.release_id)
        if problem is not None:
            switch.publish(target.release_id, target.generation_id)
            lacked.append(problem.problem)
    return tuple(lacked)
