"""A real MLflow server process over a home's database, as `slate up` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from cli.services.health import responds
from contracts.home import Home
from feature_store.server.server_program import free_port

WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # four more processes that import MLflow
WITHIN_SECONDS = 120  # importing MLflow on a busy machine


class MlflowServer:
    """Listens at `address` while it runs; may be stopped and started again."""

    def __init__(self, home: Home, log: Path) -> None:
        self._home = home
        self._log = log
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{self._home.mlflow_database}"),
            *("--default-artifact-root", self._home.mlflow_artifacts.as_uri(), "--no-serve-artifacts"),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=os.environ | WITHOUT_JOBS, stdout=log, stderr=log, start_new_session=True
            )
        answers, until = responds(f"{self.address}/health"), time.monotonic() + WITHIN_SECONDS
        while not answers():
            assert time.monotonic() < until, self._log.read_text()
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        assert self._process is not None
        family = psutil.Process(self._process.pid).children(recursive=True)
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(timeout=60)
        psutil.wait_procs(family, timeout=60)
