"""How MLflow is reached: its address, quietly, and with its errors turned into ours. Importing MLflow takes seconds."""

from __future__ import annotations

import logging
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from contracts.addresses import printable_address
from contracts.errors import RegistryError, RegistryUnavailable
from contracts.home import Home
from release.registry.database_lock import check_not_locked, held_by_another, is_lock, wait_less_for_the_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

REACH_TIMEOUT_S = 3.0  # a server that listens answers the first packet in milliseconds; a wrong address never does
ANSWER_TIMEOUT_S = 10.0  # the first answer of a server that has just started, on a busy machine, takes seconds
SHOWN_CHARACTERS = 300  # of MLflow's own words; where something else answers, they hold a whole page of HTML

# MLflow reads these when it is used. Its own defaults retry for minutes and print over our progress bars.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def tracking_uri(home: Home) -> str:
    """MLFLOW_TRACKING_URI when set, else the SQLite database under SLATE_HOME, by its absolute path."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return named or f"sqlite:///{home.mlflow_database.absolute()}"


class RegistryConnection:
    """One address of MLflow, and the client that speaks to it."""

    def __init__(self, home: Home) -> None:
        self.uri = tracking_uri(home)
        self._client: MlflowClient | None = None
        if not self.is_remote:
            home.mlflow_database.parent.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        """The address as it may be printed."""
        return printable_address(self.uri)

    def page_of(self, app: str, version: int) -> str:
        """Where a version can be looked at, in words: its page on a server; without one, what shows the database."""
        if self.is_remote:
            return f"in MLflow: {self.address}/#/models/{app}/versions/{version}"
        return f"in MLflow's database {self.address}; `make up` starts the server that shows it"

    @property
    def is_remote(self) -> bool:
        """Whether a server stands between us and the database."""
        return self.uri.startswith(("http://", "https://"))

    @contextmanager
    def speaking(self) -> Iterator[MlflowClient]:
        """The client, with MLflow's errors mapped; MLflow's module-level calls speak to the same address inside.

        Raises RegistryUnavailable when the server does not answer or somebody else holds the database, RegistryError
        when it says no.
        """
        if self._client is None:
            self._check_reachable()
        try:
            if self._client is None:
                wait_less_for_the_database()
                self._client = load_mlflow().MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            with _environment(MLFLOW_TRACKING_URI=self.uri):
                yield self._client
        except load_mlflow().exceptions.MlflowException as error:
            if not self.is_remote and is_lock(str(error.message)):
                raise held_by_another(self.uri) from error
            self._check_reachable()
            if error.error_code == "TEMPORARILY_UNAVAILABLE":
                raise self._unavailable(_shortened(error.message)) from error
            raise RegistryError(
                f"MLflow at {self.address} refused: {_shortened(error.message)}",
                "Look at the model and its versions in the MLflow UI, mend what the message names, and try again.",
            ) from error

    def ping(self) -> None:
        """Ask for anything at all; raises RegistryUnavailable or RegistryError when that fails."""
        with self.speaking() as client:
            client.search_registered_models(max_results=1)

    def _check_reachable(self) -> None:
        if not self.is_remote:
            check_not_locked(self.uri)
            return
        try:
            address = urlsplit(self.uri)
            port = address.port or (443 if address.scheme == "https" else 80)
            socket.create_connection((address.hostname or "", port), REACH_TIMEOUT_S).close()
            _wait_for_an_answer(f"{address.scheme}://{address.netloc.rpartition('@')[2]}/health")
        except (OSError, ValueError, HTTPException) as error:
            raise self._unavailable(str(error)) from error

    def _unavailable(self, cause: str) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"MLflow cannot be reached at {self.address}: {cause}.",
            "Start it (`make up`), or set MLFLOW_TRACKING_URI to where it runs; "
            "serving and `slate rollback` go on without it.",
        )


def _wait_for_an_answer(url: str) -> None:
    """Returns once the server answers anything at all, a refusal too; raises OSError when it keeps silent."""
    try:
        urllib.request.urlopen(url, timeout=ANSWER_TIMEOUT_S).close()  # noqa: S310 - http or https, by `is_remote`
    except urllib.error.HTTPError as refusal:
        refusal.close()


def _shortened(message: str) -> str:
    words = " ".join(message.partition("\n[SQL: ")[0].split())
    return words if len(words) <= SHOWN_CHARACTERS else words[: SHOWN_CHARACTERS - 1] + "…"


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """These environment variables inside, and what was there before after it."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def load_mlflow() -> ModuleType:
    """MLflow, told to be quiet."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow  # noqa: PLC0415 - takes seconds, and a rollback must not wait for it

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return mlflow
