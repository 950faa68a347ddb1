"""Pages for people: what this server serves, at `/`, and the documentation of its API, at `/docs`.

They need no other host: the documentation's scripts lie beside this module (NOTICE says whose they are).
"""

from __future__ import annotations

import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from contracts.addresses import printable_address
from contracts.web_page import render_page
from serving.http.api import Api

SWAGGER_UI = Path(__file__).parent / "swagger_ui"
ASSETS = "/docs/assets"


def add_pages(app: FastAPI, api: Api) -> None:
    """Add both pages and what they need."""

    def start() -> HTMLResponse:
        """What is served here, and where everything else is."""
        return HTMLResponse(_start_page(api))

    async def docs() -> HTMLResponse:
        """The documentation of the API."""
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Slatework",
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon-32x32.png",
            swagger_ui_parameters={"validatorUrl": None},  # else it asks another host about the schema
        )

    app.get("/", include_in_schema=False)(start)
    app.get("/docs", include_in_schema=False)(docs)
    app.mount(ASSETS, StaticFiles(directory=SWAGGER_UI), name="swagger-ui")


def _start_page(api: Api) -> str:
    state = api.live.state
    problem = api.live.problem
    return render_page(
        "serving.http",
        "start.html",
        title=f"{api.app} - Slatework",
        app=api.app,
        arms=[] if state.lineup is None else list(state.lineup),
        epoch=None if state.lineup is None else state.lineup.pointer.epoch,
        clock=api.clock,
        now=None if state.lineup is None else state.lineup.production.clock.now(),
        problem=problem and str(problem),
        neighbours=[
            ("MLflow", "releases, and what the gates said", _web_address("MLFLOW_TRACKING_URI")),
            ("Airflow", "training, and the other runs", _web_address("AIRFLOW__API__BASE_URL")),
        ],
    )


def _web_address(variable: str) -> str | None:
    """The page that a variable of the environment names, where it names one."""
    address = printable_address(os.environ.get(variable, ""))
    return address if address.startswith(("http://", "https://")) else None
