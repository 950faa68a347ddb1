"""Item factors of implicit alternating least squares from Spark MLlib, for more events than one machine can solve.

Blocks of people and items are solved where Spark has its executors; what comes back is one vector an item.
"""

from __future__ import annotations

import os
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from contracts.errors import SettingsError
from contracts.ids import FloatArray
from contracts.settings.candidates import AlsSettings
from contracts.spark_session import spark_session

ASKED_BY_AND_INSTEAD = "`candidates.als.engine: spark`", "keep `candidates.als.engine: implicit` in params.yaml"
# A step's plan holds all steps since the last checkpoint; some fifteen of them overflow Java's stack.
STEPS_BETWEEN_CHECKPOINTS = 4


def item_factors_on_spark(touched: csr_matrix, settings: AlsSettings, seed: int) -> FloatArray:
    """(n_items, factors), zero for an item that nobody touched. touched: (n_people, n_items), 1 where somebody did.

    MLlib weighs an entry r as 1 + r, and multiplies the regularization by how many entries a person or an item has.
    So r is alpha - 1 here, and the regularization is divided by the mean of those numbers: both mean what they mean in
    one process. Raises EngineMissing without pyspark or Java, SettingsError where a cluster has no checkpoints.
    Source: Hu, Koren and Volinsky 2008; Zhou et al. 2008 for the regularization.
    """
    session = spark_session(*ASKED_BY_AND_INSTEAD)
    _give_it_a_folder_for_checkpoints(session)
    entries = touched.tocoo()
    rows = {
        "user_idx": entries.row.astype(np.int32),
        "item_idx": entries.col.astype(np.int32),
        "rating": np.full(entries.nnz, settings.alpha - 1, np.float32),
    }
    model = _als(settings, touched, seed).fit(session.createDataFrame(pa.table(rows)))
    found = model.itemFactors.toArrow()
    factors = np.zeros((touched.shape[1], settings.factors), np.float32)
    vectors = found["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    factors[found["id"].to_numpy()] = vectors.reshape(-1, settings.factors)
    return factors


def _als(settings: AlsSettings, touched: csr_matrix, seed: int) -> Any:
    from pyspark.ml.recommendation import ALS  # noqa: PLC0415 - an extra, see contracts/spark_session.py

    return ALS(
        rank=settings.factors,
        maxIter=settings.iterations,
        regParam=settings.regularization / _mean_entries(touched),
        implicitPrefs=True,
        alpha=1.0,
        seed=seed,
        checkpointInterval=STEPS_BETWEEN_CHECKPOINTS,
        userCol="user_idx",
        itemCol="item_idx",
        ratingCol="rating",
    )


def _give_it_a_folder_for_checkpoints(session: Any) -> None:
    """Where Spark has none and runs on this machine; elsewhere `spark.checkpoint.dir` names one."""
    if "SPARK_REMOTE" in os.environ or session.sparkContext.getCheckpointDir() is not None:
        return
    if not session.sparkContext.master.startswith("local"):
        raise SettingsError(
            "Spark has no folder for checkpoints, and `candidates.als.engine: spark` needs one that all executors see.",
            "Name it in spark-defaults.conf: `spark.checkpoint.dir`.",
        )
    session.sparkContext.setCheckpointDir(_checkpoints().name)


@cache
def _checkpoints() -> TemporaryDirectory[str]:
    """Gone with this process."""
    return TemporaryDirectory(prefix="slatework-checkpoints-")


def _mean_entries(touched: csr_matrix) -> float:
    """Of the people and items that have any."""
    n_people, n_items = (int(np.count_nonzero(touched.getnnz(axis))) for axis in (1, 0))
    return float(2 * touched.nnz / (n_people + n_items))
