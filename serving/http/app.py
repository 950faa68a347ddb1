"""The HTTP service: routes, documentation, and what runs beside them.

Answering is work for the CPU with two short waits for Redis in it. It runs in a thread and not in the event loop
(`answering_queue`): a Redis that hangs then holds up those who are answered together for its time limit, never the
probes and never the accepting of requests. More threads would only queue for the interpreter's lock, and leave fewer
requests to answer together; more cores are for more workers. Events and metrics have threads of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI

from serving.collector_pauses import CollectorPauses
from serving.http.answers import add_error_answers
from serving.http.api import Api
from serving.http.loop_lag import LoopLag
from serving.http.middleware import BodyLimit, Stopwatch
from serving.http.pages import add_pages
from serving.http.recommend_route import RECOMMEND, RecommendRoute
from serving.metrics import Metrics
from serving.wire import BODY_WITHIN_S, MAX_BODY_BYTES, ErrorAnswer, EventsAnswer, Health, Readiness, SlateAnswer

N_PAGES = 1  # threads that make the first page
TELL_PAUSES_S = 1.0
DESCRIPTION = (
    "Ranked slates from the release in production, or from the canary for a share of people. Every answer names the "
    "release and the generation of feature values it stands on."
)


def create_app(api: Api) -> FastAPI:
    """The application around these routes' functions; while it runs it follows the pointer and writes the event log."""

    @asynccontextmanager
    async def running(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = N_PAGES
        api.log.start()
        api.live.start()
        lag = LoopLag(api.note_lag)
        lag.start()
        pauses = CollectorPauses()
        pauses.start()
        telling = asyncio.create_task(_tell_pauses(pauses, api.metrics))
        yield
        telling.cancel()
        pauses.stop()
        lag.stop()
        await anyio.to_thread.run_sync(api.queue.close)
        await anyio.to_thread.run_sync(api.live.stop)
        await anyio.to_thread.run_sync(api.log.close)

    app = FastAPI(
        title="Slatework", version="1", description=DESCRIPTION, lifespan=running, docs_url=None, redoc_url=None
    )
    _add_routes(app, api)
    add_pages(app, api)
    add_error_answers(app)
    app.add_middleware(RecommendRoute, api=api)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES, within_s=BODY_WITHIN_S)
    app.add_middleware(Stopwatch, metrics=api.metrics)
    return app


async def _tell_pauses(pauses: CollectorPauses, metrics: Metrics) -> None:
    """Again and again. Not where a pause ends: it may have come while a lock of the metrics was held."""
    while True:
        await asyncio.sleep(TELL_PAUSES_S)
        for generation, seconds in pauses.take():
            metrics.collector_seconds.labels(generation).observe(seconds)


def _add_routes(app: FastAPI, api: Api) -> None:
    refusals = (400, 408, 413, 415, 422, 503)
    app.post(RECOMMEND, responses=_answers(SlateAnswer, *refusals, 403, 409, 429))(api.recommend)
    app.post("/v1/events", status_code=202, responses=_answers(EventsAnswer, *refusals, success=202))(api.take_events)
    app.get("/healthz", responses=_answers(Health))(api.healthz)
    app.get("/readyz", responses=_answers(Readiness, 503))(api.readyz)
    app.head("/healthz", include_in_schema=False)(api.healthz)
    app.head("/readyz", include_in_schema=False)(api.readyz)
    app.get("/metrics", responses={200: {"content": {"text/plain": {}}}})(api.prometheus)


def _answers(model: type, *errors: int, success: int = 200) -> dict[int | str, dict[str, Any]]:
    """What a route answers, for the documentation: its model, and the statuses of errors, all of one shape."""
    return {success: {"model": model}, **{status: {"model": ErrorAnswer} for status in errors}}
