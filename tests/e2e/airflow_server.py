"""A real `airflow standalone` for one test, and its REST interface as the UI uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from cli.services.health import airflow_responds
from cli.services.plan import airflow_environment
from contracts.home import Home
from feature_store.server.server_program import free_port

START_WITHIN_SECONDS = 300  # it makes its database first
ANSWER_WITHIN_SECONDS = 60  # while a run's tasks keep every core busy, Airflow answers late
N_TRIES = 5  # of asking for what changes nothing: a question that got no answer is asked again
POLL_SECONDS = 1  # nothing tells us when another process is done: asking is the only way


class AirflowServer:
    """Airflow at an address, spoken to as its user `admin`."""

    def __init__(self, address: str, log: Path) -> None:
        self.address = address
        self.log = log
        self.token = ""

    def sign_in(self, passwords: Path) -> None:
        password = json.loads(passwords.read_text())["admin"]
        self.token = self.call("POST", "/auth/token", {"username": "admin", "password": password})["access_token"]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Start a run as the trigger form does; its run id."""
        body = {"logical_date": None, "conf": conf}
        return self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]

    def wait_for_run(self, dag_id: str, run_id: str, within_seconds: float) -> dict[str, str]:
        """The state of every task when the run has ended well; AssertionError with the failed task's log when not."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{urllib.parse.quote(run_id)}"
        wait_until(lambda: self.call("GET", path)["state"] in ("success", "failed"), within_seconds, self.log)
        tasks = self.call("GET", f"{path}/taskInstances")["task_instances"]
        for task in tasks:
            if task["state"] == "failed":
                shown = self.call("GET", f"{path}/taskInstances/{task['task_id']}/logs/{task['try_number']}")
                raise AssertionError(f"{task['task_id']} failed:\n" + "\n".join(map(str, shown["content"][-40:])))
        return {task["task_id"]: task["state"] for task in tasks}

    def has_dag(self, dag_id: str) -> bool:
        try:
            return bool(self.call("GET", f"/api/v2/dags/{dag_id}"))
        except urllib.error.HTTPError:
            return False

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        return json.loads(_answer_to(request, N_TRIES if method == "GET" else 1)[1])

    def page(self, link: str, *, signed_in: bool = True) -> tuple[int, str]:
        """Status and content of what a link of the UI leads to, in a browser that is signed in, or in a stranger's."""
        headers = {"cookie": f"_token={self.token}"} if signed_in else {}
        request = urllib.request.Request(urllib.parse.urljoin(self.address, link), headers=headers)
        try:
            return _answer_to(request, N_TRIES)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def _answer_to(request: urllib.request.Request, n_tries: int) -> tuple[int, str]:
    """Status and content; TimeoutError when the last try goes without an answer too."""
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except TimeoutError:
        if n_tries == 1:
            raise
    return _answer_to(request, n_tries - 1)


def wait_until(is_true: Callable[[], bool], within_seconds: float, log: Path) -> None:
    """Return as soon as something is true; AssertionError with the end of a log when it does not become true."""
    deadline = time.monotonic() + within_seconds
    while not is_true():
        assert time.monotonic() < deadline, f"waited {within_seconds} s; the log ends with\n{log.read_text()[-3000:]}"
        time.sleep(POLL_SECONDS)


@contextmanager
def airflow_standalone(checkout: Path, home: Home, environment: dict[str, str]) -> Iterator[AirflowServer]:
    """Airflow for a checkout, in a process group of its own; nothing of it is left afterwards."""
    port = free_port()
    settings = airflow_environment(checkout, home, port)
    path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    home.airflow.mkdir(parents=True)
    log = home.airflow / "standalone.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            cwd=checkout,
            env={**environment, **settings, "PATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            server = AirflowServer(f"http://127.0.0.1:{port}", log)
            healthy = airflow_responds(f"{server.address}/api/v2/monitor/health")
            wait_until(healthy, START_WITHIN_SECONDS, log)
            server.sign_in(home.airflow / "simple_auth_manager_passwords.json.generated")
            yield server
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=60)
    for straggler in alive:
        straggler.kill()
