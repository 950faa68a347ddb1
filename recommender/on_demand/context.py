"""The circumstances of a request, as far as it tells them, and how an item does in them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from contracts.features import OWNER
from contracts.ids import FloatArray
from contracts.on_demand import OnDemandView
from recommender.on_demand.inputs import OnDemandInputs


def _context(inputs: OnDemandInputs) -> dict[str, npt.NDArray[np.int64]]:
    return {"context_attribute_count": np.array([len(segment) for segment in inputs.queries.segments], np.int64)}


def _lift(inputs: OnDemandInputs) -> dict[str, FloatArray]:
    alike, everybody = (inputs.candidates.scores_of(name) for name in ("popular_segment", "popular_recent"))
    usable = (alike > 0) & (everybody > 0)
    return {"context_item_lift": np.log(np.where(usable, alike, np.nan) / np.where(usable, everybody, 1))}


VIEWS = (
    OnDemandView(
        name="context",
        entity="context",
        window="none: the request",
        owner=OWNER,
        description="How much a request tells of its circumstances, and of who asks.",
        features={
            "context_attribute_count": "attributes told: age band, gender, occupation, device, day part, entry page"
        },
        compute=_context,
    ),
    OnDemandView(
        name="context_item",
        entity="context-item",
        window="candidates.popular.recent_days before the release was fitted",
        owner=OWNER,
        description="How much better an item does among people in the circumstances told than among everybody.",
        features={
            "context_item_lift": "log of its share of their events over its share of all; missing where nothing is told"
        },
        compute=_lift,
    ),
)
