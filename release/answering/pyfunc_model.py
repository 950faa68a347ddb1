"""The file MLflow keeps as the model: `mlflow.pyfunc.load_model("models:/movies/Production").predict(people)`.

Logged as code, not pickled. It holds nothing but the way to `release.answering.batch`, so it loads inside the project's
environment, from any working directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd  # type: ignore[import-untyped]  # pandas publishes its types apart
import polars as pl
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from release.answering.batch import BatchRecommender


class SlateModel(PythonModel):
    """A table of `user_id` (and `k`, `filter` and `placement`, if you like) in; one row per person and position out.

    >>> context = PythonModelContext({"bundle": "tests/golden/bundle_v3"}, model_config=None)
    >>> model = SlateModel()
    >>> model.load_context(context)
    >>> slates = model.predict(context, pd.DataFrame({"user_id": ["u500"], "k": [2]}))
    >>> slates[["position", "title"]].values.tolist()
    [[1, 'Film 1 (comedy)'], [2, 'Film 6 (drama)']]
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load and check the bundle that was logged with the model."""
        self._recommender = BatchRecommender(Path(context.artifacts["bundle"]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Slates for every row of the table, in its order; a mapping of columns is a table, too."""
        del context, params  # MLflow's contract names them; the bundle says all there is to say
        # MLflow infers a type from the annotation, and of a mapping it would infer none that it can check.
        table = _table_of_columns(model_input) if isinstance(model_input, Mapping) else pl.from_pandas(model_input)
        return self._recommender.answer(table).to_pandas()


def _table_of_columns(columns: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame({name: value if isinstance(value, list) else [value] for name, value in columns.items()})


mlflow.models.set_model(SlateModel())
