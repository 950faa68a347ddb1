"""Which services `slate up` runs, on which ports, with which environment: the plan, before anything is started."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from cli.services.health import Probe, airflow_responds, always, readiness, responds
from contracts.errors import PortTaken, SettingsError
from contracts.home import Home
from feature_store.server import embedded_redis
from feature_store.server.server_program import fixed_port, free_port

LOOPBACK = "127.0.0.1"
VARIABLES = {"api": "SLATE_API_PORT", "mlflow": "SLATE_MLFLOW_PORT", "airflow": "SLATE_AIRFLOW_PORT"}


@dataclass(frozen=True)
class Ports:
    """Where the services for people listen, each moved by the variable in VARIABLES."""

    api: int = 8000
    mlflow: int = 5000
    airflow: int = 8080

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Ports:
        """The defaults, or what the variables say; raises SettingsError for what is no port, or one named twice."""
        values = {
            part.name: _port(VARIABLES[part.name], environment.get(VARIABLES[part.name]), int(str(part.default)))
            for part in fields(cls)
        }
        if len(set(values.values())) < len(values):
            named = ", ".join(f"{VARIABLES[name]}={port}" for name, port in values.items())
            raise SettingsError(f"Two services would share a port: {named}.", "Give each a port of its own.")
        return cls(**values)

    def check_free(self) -> None:
        """Raise PortTaken for the first port on which something else listens."""
        for name, variable in VARIABLES.items():
            port = getattr(self, name)
            if not _can_listen(port):
                raise PortTaken(
                    f"Port {port} on {LOOPBACK}, wanted for {name}, is taken by another program.",
                    f"Stop what listens there, or move the service: `{variable}=<port> slate up`.",
                )


@dataclass(frozen=True)
class Service:
    """One process of `slate up`.

    address: where it is found, empty for one nobody calls; answers: whether it is up; says: how it is, empty where
    there is no more to say.
    """

    name: str
    command: list[str]
    address: str = ""
    answers: Probe = always
    says: Callable[[], str] = str


@dataclass(frozen=True)
class ServicePlan:
    """Services in waves: those of one wave start together, when the wave before it answers."""

    waves: list[list[Service]]
    environment: dict[str, str]
    directory: Path

    @property
    def services(self) -> list[Service]:
        return [service for wave in self.waves for service in wave]


def plan_services(checkout: Path, home: Home, ports: Ports, environment: Mapping[str, str]) -> ServicePlan:
    """What to run for a checkout: everything, except a Redis or an MLflow that the environment names already."""
    redis_port = None if environment.get("REDIS_URL") else fixed_port() or free_port()
    addresses = {
        "REDIS_URL": environment.get("REDIS_URL") or f"redis://{LOOPBACK}:{redis_port}/0",
        "MLFLOW_TRACKING_URI": environment.get("MLFLOW_TRACKING_URI") or f"http://{LOOPBACK}:{ports.mlflow}",
        "SLATE_API_URL": environment.get("SLATE_API_URL") or f"http://{LOOPBACK}:{ports.api}",
        "MLFLOW_DISABLE_TELEMETRY": environment.get("MLFLOW_DISABLE_TELEMETRY") or "true",
    }
    stores = [] if redis_port is None else [_redis(home, redis_port)]
    trackers = [] if environment.get("MLFLOW_TRACKING_URI") else [_mlflow(home, ports)]
    return ServicePlan(
        [stores, [*trackers, _airflow(ports)], [_api(ports), _sync()]],
        {
            **environment,
            **addresses,
            **airflow_environment(checkout, home, ports.airflow),
            "SLATE_HOME": str(home.root),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]),
            "PYTHONUNBUFFERED": "1",  # a log that is read while the service runs must not lag behind it
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # MLflow's job runners are four processes we have no use for
        },
        checkout,
    )


def airflow_environment(checkout: Path, home: Home, port: int) -> dict[str, str]:
    """Airflow on SQLite for one checkout: its state under SLATE_HOME, its DAGs from the checkout, loopback only."""
    address = f"http://{LOOPBACK}:{port}"
    return {
        "AIRFLOW_HOME": str(home.airflow),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",  # for one person; each worker takes 300 MB
        "AIRFLOW__CORE__DAGS_FOLDER": str(checkout / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(checkout / "dags" / "plugins"),
        "AIRFLOW__CORE__PARALLELISM": "2",  # one training task and one sync
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",  # an edited DAG shows within half a minute, not five
        # After a start in the middle of a run, tasks begin before the API server that they report to answers.
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "10",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        # The defaults are fixed ports on which a second Airflow of this machine would fail.
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
    }


def _redis(home: Home, port: int) -> Service:
    command = _slate("redis", "--port", str(port))
    return Service("redis", command, f"redis://{LOOPBACK}:{port}/0", lambda: embedded_redis.running(home) is not None)


def _mlflow(home: Home, ports: Ports) -> Service:
    address = f"http://{LOOPBACK}:{ports.mlflow}"
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", LOOPBACK, "--port", str(ports.mlflow), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{home.mlflow_database}"),
        # Clients write artefacts to this folder themselves: with and without the server they lie in one place.
        *("--default-artifact-root", home.mlflow_artifacts.as_uri(), "--no-serve-artifacts"),
    ]
    return Service("mlflow", command, address, responds(f"{address}/health"))


def _airflow(ports: Ports) -> Service:
    address = f"http://{LOOPBACK}:{ports.airflow}"
    command = [sys.executable, "-m", "airflow", "standalone"]
    return Service("airflow", command, address, airflow_responds(f"{address}/api/v2/monitor/health"))


def _api(ports: Ports) -> Service:
    address = f"http://{LOOPBACK}:{ports.api}"
    from serving.live.next_lineup import STARTING

    says = readiness(f"{address}/readyz", STARTING.problem)
    # It answers long before the release is loaded: up is who is ready, or knows why not.
    return Service("api", _slate("serve", "--port", str(ports.api)), address, lambda: bool(says()), says)


def _sync() -> Service:
    return Service("sync", _slate("sync", "--watch"))


def _slate(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", *arguments]


def _port(variable: str, value: str | None, default: int) -> int:
    if not value:
        return default
    if not value.isdecimal() or not 1 <= int(value) <= 65_535:
        raise SettingsError(f"{variable} is {value!r}; expected a port, 1 to 65535.", "Set it right, or unset it.")
    return int(value)


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just given back may be used again
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
