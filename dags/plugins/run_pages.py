"""What a run made, in Airflow's own UI, where the buttons on its tasks lead (`run_links`).

Airflow's API server loads this file as a plugin (`core.plugins_folder`, set by `slate up` and in docker-compose.yml).
The page of a validation is what `slate workspace page` prints; the others are in MLflow, at the address that `slate
workspace address` prints. For whoever is signed in.
"""

from __future__ import annotations

import subprocess
from typing import Annotated, ClassVar

from airflow.api_fastapi.core_api.security import get_user
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, Query
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

app = FastAPI(title="Slatework", docs_url=None, redoc_url=None, openapi_url=None)
RunId = Annotated[str, Query(min_length=1)]
REPORTS = "artifacts/reports"  # below the run's page


@app.get("/validation", dependencies=[Depends(get_user)])
def validation(run_id: RunId) -> Response:
    """The page of that run's validation, or why there is none."""
    done = _workspace("page", run_id)
    return _refusal(done) if done.returncode else HTMLResponse(done.stdout)


@app.get("/registered", dependencies=[Depends(get_user)])
def registered(run_id: RunId) -> Response:
    """To the run in MLflow, or why there is none."""
    return _to_mlflow(run_id)


@app.get("/evaluation", dependencies=[Depends(get_user)])
def evaluation(run_id: RunId) -> Response:
    """To the reports of the evaluation in MLflow, or why there are none."""
    return _to_mlflow(run_id, f"/{REPORTS}")


def _to_mlflow(run_id: str, below: str = "") -> Response:
    """below: the run's page."""
    done = _workspace("address", run_id)
    address = done.stdout.strip()
    if done.returncode:
        return _refusal(done)
    if not address.startswith(("http://", "https://")):
        says = f"The run is in MLflow's database {address}, which no server shows.\n  `slate up` starts one.\n"
        return PlainTextResponse(says, 404)
    return RedirectResponse(address + below)


def _workspace(command: str, run_id: str) -> subprocess.CompletedProcess[str]:
    words = ["slate", "workspace", command, f"--run-id={run_id}"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _refusal(done: subprocess.CompletedProcess[str]) -> Response:
    return PlainTextResponse(done.stderr, 404)


class SlateworkPlugin(AirflowPlugin):
    """What Airflow registers."""

    name = "slatework"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": "/slatework", "name": "Slatework"}]
