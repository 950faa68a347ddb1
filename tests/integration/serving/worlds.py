"""An application to serve: published releases, a pointer to move, and servers that follow it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from contracts.home import Home
from contracts.settings.settings import Settings
from feature_store.online.connection import Client
from feature_store.online.pointer import NO_POINTER_YET, Pointer, move_pointer, read_pointer
from feature_store.online.serving_targets import Canary, Staged, read_serving_targets, set_canary, set_staged
from feature_store.publishing.publishing import publish
from feature_store.values.values import FeatureValues
from release.bundle.bundle import load_bundle
from release.bundle.bundle_store import BundleStore
from serving.http.api import Api
from serving.http.app import create_app
from serving.http.server import build_api, http_server, listen
from serving.wire import SlateAnswer


@dataclass(frozen=True)
class Stage:
    """One application with two published releases; nothing is promoted until `point_at`.

    pairs: release and generation of each. They share no generation, so that a mixed answer shows.
    """

    home: Home
    settings: Settings
    redis: Client
    pairs: tuple[tuple[str, str], tuple[str, str]]
    as_of: datetime

    def point_at(self, number: int) -> Pointer:
        """Promote one of the two pairs."""
        before = read_pointer(self.redis, self.settings.app)
        epoch = before.epoch if before else NO_POINTER_YET
        return move_pointer(self.redis, self.settings.app, *self.pairs[number], expected_epoch=epoch)

    def put_in_staging(self, number: int | None) -> None:
        """Put one of the two pairs into Staging, or none."""
        set_staged(self.redis, self.settings.app, None if number is None else Staged(*self.pairs[number]))

    def try_out(self, number: int, share: float) -> Canary:
        """Give this share of people one of the two pairs, instead of whatever canary there is."""
        targets = read_serving_targets(self.redis, self.settings.app)
        assert targets.pointer is not None
        canary = Canary(*self.pairs[number], share=share, salt="s", started_ts=1)
        set_canary(self.redis, self.settings.app, canary, targets.canary, targets.pointer.epoch)
        return canary

    def with_serving(self, **settings: Any) -> Stage:
        """The same application with other parameters of serving."""
        serving = self.settings.serving.model_copy(update=settings)
        return replace(self, settings=self.settings.model_copy(update={"serving": serving}))

    def api(self) -> Api:
        """The routes of a new server, not running yet."""
        return build_api(self.home, self.settings, spool_name="test")

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of a new server in this process, which is ready."""
        # Imported here: the import warns, and only tests that say so put up with it.
        from starlette.testclient import TestClient

        api = self.api()
        with TestClient(create_app(api), raise_server_exceptions=False) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200)
            yield client


@contextmanager
def listening(stage: Stage) -> Iterator[tuple[Api, int]]:
    """A server of this process on a socket, which is ready; its routes and its port."""
    api, sock = stage.api(), listen("127.0.0.1", 0)
    server, port = http_server(api), sock.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        wait_until(lambda: fetch(port, "GET", "/readyz")[0] == 200)
        yield api, port
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


def fetch(port: int, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        headers = {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status, dict(answer.headers), json.loads(content) if content and is_json else content


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask again and again; the test's own time limit is the limit."""
    while not holds():
        pass


def published(home: Home, settings: Settings, client: Client) -> Stage:
    """Publish each release's values: the first with its own, the second with values one hour fresher."""
    store, pairs = BundleStore(home), []
    for hours, release_id in enumerate(store.release_ids()):
        loaded = load_bundle(store.path(release_id))
        values = FeatureValues.load(store.path(release_id) / "values")
        fresher = replace(values, as_of=values.as_of + timedelta(hours=hours))
        receipt = publish(client, settings.app, fresher, loaded.schemas, loaded.catalogue.ids, release_id, 1000)
        pairs.append((release_id, receipt.generation_id))
    return Stage(home, settings, client, (pairs[0], pairs[1]), loaded.as_of)


def ask(client: Any, headers: dict[str, str] | None = None, **question: Any) -> dict[str, Any]:
    """The slate that a server answers over HTTP, held against the schema of answers."""
    answer = client.post("/v1/recommend", json=question, headers=headers)
    assert answer.status_code == 200, answer.text
    slate: dict[str, Any] = answer.json()
    SlateAnswer.model_validate(slate)
    return slate
