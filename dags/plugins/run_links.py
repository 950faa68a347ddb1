"""The buttons on tasks that lead to what their run made: pages that `run_pages` serves, or sends on to MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.models.taskinstancekey import TaskInstanceKey
    from airflow.sdk import BaseOperator


class _RunLink(BaseOperatorLink):
    """A button whose page is the same for every try: each writes it anew.

    It leads to Airflow's own address, and such links Airflow opens in the same tab; only one to another host opens a
    new one, and where MLflow is nobody knows before the run is registered.
    """

    page: str

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's own words
        """Where the page of the task's run is."""
        return f"/slatework/{self.page}?run_id={quote(ti_key.run_id, safe='')}"


class ValidationLink(_RunLink):
    """On `validate`: which rules the data broke."""

    name = "Validation"
    page = "validation"


class EvaluationLink(_RunLink):
    """On `evaluate`: tables and plots, among the artifacts of the run in MLflow, once it is registered."""

    name = "Evaluation"
    page = "evaluation"


class MlflowLink(_RunLink):
    """On `register`: the run in MLflow."""

    name = "MLflow run"
    page = "registered"
