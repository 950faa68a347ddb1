"""The link from the task `validate` to the page about its run (`validation_page`)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.models.taskinstancekey import TaskInstanceKey
    from airflow.sdk import BaseOperator


class ValidationLink(BaseOperatorLink):
    """The button on the task."""

    name = "Validation"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's own words
        """Where the page of the task's run is; the same for every try, for each writes it anew."""
        return f"/slatework/validation?run_id={quote(ti_key.run_id, safe='')}"
