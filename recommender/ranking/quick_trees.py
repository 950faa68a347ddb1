"""LightGBM's trees, scored with by lignum: to the bit what LightGBM says, in less than half of its time.

lignum is young, and of one author. So its scores are held against LightGBM's whenever a model is loaded, on rows that
stand on, below and above thresholds; a saved model brings what LightGBM says of them, so that scoring does not
need LightGBM. Where a score differs, where a model of before brings none, or where lignum is not installed, LightGBM
scores. Rows that hold an infinity are LightGBM's as well: it reads a threshold of infinity as 1e300, which lignum does
not.
"""

from __future__ import annotations

import logging
import re
import tempfile
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from contracts.ids import FloatArray

LOG = logging.getLogger(__name__)

N_PROBES = 64  # rows
SEED = 7
_SPLITS = re.compile(r"^split_feature=(.*)\n(?:.*\n)*?threshold=(.*)$", re.MULTILINE)


class QuickTrees(Protocol):
    """A model of lignum."""

    def predict(self, X: Any, /, *, n_jobs: int) -> npt.NDArray[np.float64]:  # noqa: N803 - its name in lignum
        """(n,) a score per row."""


def quick_trees(text: str, n_features: int, probe_scores: npt.NDArray[np.float64]) -> QuickTrees | None:
    """These trees for lignum, or None where LightGBM has to score with them.

    text: `trees_of` a model; probe_scores: (N_PROBES,) what LightGBM says of `probe_rows`, or none.
    """
    if len(probe_scores) != N_PROBES:
        LOG.warning("Ranking with LightGBM: the model was saved before scores were kept with it. Train it again.")
        return None
    try:
        import lignum  # noqa: PLC0415 - not on every platform
    except ImportError as error:
        LOG.warning("Ranking with LightGBM, which takes two to five times as long as lignum: %s", error)
        return None
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            quick: QuickTrees = lignum.load(file.name, format="lightgbm")
        differing = np.flatnonzero(quick.predict(probe_rows(text, n_features), n_jobs=1) != probe_scores)
    except (ValueError, RuntimeError, OSError) as error:
        LOG.warning("Ranking with LightGBM, which takes two to five times as long as lignum: %s", error)
        return None
    if len(differing):
        LOG.warning("Ranking with LightGBM: of %d rows lignum scores %d otherwise.", N_PROBES, len(differing))
        return None
    return quick


def probe_rows(text: str, n_features: int) -> FloatArray:
    """(N_PROBES, n_features) values on, just below and just above the thresholds of these trees, zeros and NaN.

    Infinities are none of them (see above).
    """
    rng = np.random.default_rng(SEED)
    rows = rng.choice(np.array([np.nan, 0.0, -1.0, 1.0], np.float32), (N_PROBES, n_features))
    for feature, thresholds in _thresholds(text).items():
        with np.errstate(over="ignore"):  # past the largest of them it is infinite
            values = np.array(thresholds, np.float64).astype(np.float32)
        near = np.stack([np.nextafter(values, np.float32(-np.inf)), values, np.nextafter(values, np.float32(np.inf))])
        chosen = rng.random(N_PROBES) < 0.9
        rows[chosen, feature] = rng.choice(near[np.isfinite(near)], int(chosen.sum()))
    return rows


def _thresholds(text: str) -> dict[int, list[float]]:
    """By feature, all values at which a tree splits it."""
    found: dict[int, list[float]] = {}
    for features, thresholds in _SPLITS.findall(text):
        for feature, threshold in zip(features.split(), thresholds.split(), strict=True):
            found.setdefault(int(feature), []).append(float(threshold))
    return found
