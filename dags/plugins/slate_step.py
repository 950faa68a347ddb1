"""A task that is one command of `slate`: red at once where another try would end alike, with the cause as its error."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow.providers.standard.operators.bash import BashOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

CAUSE_FILE = "SLATE_CAUSE_FILE"  # contracts/failure.py
# Errors, and misused options. With 75 something was away, and by a signal the machine or `slate down` stopped it.
ENDS_ALIKE = [1, 2]


class SlateStep(BashOperator):
    """Run the command in the checkout, with the services' environment; its retries are for what may go well later."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(append_env=True, skip_on_exit_code=ENDS_ALIKE, **kwargs)

    def execute(self, context: Context) -> Any:
        """Airflow's own word for the task, with what the command said went wrong."""
        with tempfile.NamedTemporaryFile("w+", encoding="utf-8", suffix=".txt") as cause:
            self.env = {**(self.env or {}), CAUSE_FILE: cause.name}
            try:
                return super().execute(context)
            except AirflowSkipException as error:
                raise AirflowFailException(_cause(cause.name, error)) from None
            except AirflowException as error:
                raise AirflowException(_cause(cause.name, error)) from None


def _cause(file: str, error: Exception) -> str:
    return Path(file).read_text(encoding="utf-8") or f"The command said nothing of the cause: {error}"
