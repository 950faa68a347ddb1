"""The page of a run's validation in Airflow's own UI, where the link on the task `validate` leads.

Airflow's API server loads this file as a plugin (`core.plugins_folder`, set by `slate up` and in docker-compose.yml).
The page is what `slate workspace page` prints, for whoever is signed in.
"""

from __future__ import annotations

import subprocess
from typing import Annotated, ClassVar

from airflow.api_fastapi.core_api.security import get_user
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, Query
from fastapi.responses import HTMLResponse, PlainTextResponse, Response

app = FastAPI(title="Slatework", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/validation", dependencies=[Depends(get_user)])
def validation(run_id: Annotated[str, Query(min_length=1)]) -> Response:
    """The page of that run, or why there is none."""
    command = ["slate", "workspace", "page", f"--run-id={run_id}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return PlainTextResponse(done.stderr, 404) if done.returncode else HTMLResponse(done.stdout)


class SlateworkPlugin(AirflowPlugin):
    """What Airflow registers."""

    name = "slatework"
    fastapi_apps: ClassVar = [{"app": app, "url_prefix": "/slatework", "name": "Slatework"}]
