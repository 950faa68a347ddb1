"""The process manager (supervisord) behind `slate up`: started, asked and ended here, and nowhere else.

SLATE_HOME/services/supervisord.conf    what runs
SLATE_HOME/services/supervisord.pid     the process manager, while it lives
SLATE_HOME/services/addresses.json      where each service is found
SLATE_HOME/services/<service>.log       what each service says
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import xmlrpc.client
from configparser import RawConfigParser
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from cli.services.plan import Service, ServicePlan
from contracts.errors import WorkspaceError
from contracts.fingerprint import fingerprint_bytes
from contracts.home import Home
from contracts.whole_files import whole_file, write_whole

STOP_SECONDS = 60  # Airflow ends its tasks, Redis saves its data
MANAGER_SECONDS = 10  # what the process manager itself needs, or a process that is told to end
FAILED_STATES = frozenset({"BACKOFF", "EXITED", "FATAL", "UNKNOWN"})


@dataclass(frozen=True)
class Status:
    """What the process manager says of one service, and the address it was planned to have."""

    name: str
    state: str
    pid: int
    address: str

    @property
    def is_running(self) -> bool:
        return self.state == "RUNNING"

    @property
    def has_failed(self) -> bool:
        return self.state in FAILED_STATES


class ServiceControl:
    """The process manager of one SLATE_HOME."""

    def __init__(self, home: Home) -> None:
        self._folder = home.services
        self._addresses = home.services / "addresses.json"
        # In /tmp because a socket's path is limited to 107 characters; one per home, and only its owner may open it.
        self._socket = Path(tempfile.gettempdir()) / f"slatework-{fingerprint_bytes(str(home.root).encode())}.sock"

    @property
    def is_running(self) -> bool:
        try:
            self._ask("getState")
        except OSError:
            return False
        return True

    def launch(self, plan: ServicePlan) -> None:
        """Start the process manager, in the background, with every service waiting; raises WorkspaceError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        addresses = {service.name: service.address for service in plan.services}
        write_whole(self._addresses, json.dumps(addresses).encode())
        config = self._folder / "supervisord.conf"
        with whole_file(config) as unfinished, unfinished.open("w", encoding="utf-8") as file:
            self._config(plan).write(file)
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "--configuration", config.name],
            env=plan.environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise WorkspaceError(
                f"The process manager did not start: {(done.stdout + done.stderr).strip()}",
                f"Read {self._folder / 'supervisord.log'}, and try again.",
            )

    def start(self, service: Service) -> None:
        """Start one service; does not wait for it."""
        self._ask("startProcess", service.name, False)

    def statuses(self) -> list[Status]:
        """What runs, by name; nothing when the process manager does not."""
        if not self.is_running:
            return []
        answer: Any = self._ask("getAllProcessInfo")
        addresses = json.loads(self._addresses.read_text(encoding="utf-8"))
        return [Status(info["name"], info["statename"], info["pid"], addresses[info["name"]]) for info in answer]

    def stop(self) -> list[str]:
        """End every service and the process manager; the processes that did not end with their service.

        Returns when nothing is left of any of them, nor of what they started.
        """
        if not self.is_running:
            return []
        manager = psutil.Process(self._ask("getPID"))
        family = [manager, *manager.children(recursive=True)]
        self._ask("shutdown")
        psutil.wait_procs([manager], timeout=STOP_SECONDS + MANAGER_SECONDS)
        return _end([process for process in family if process.is_running()])

    def log(self, name: str) -> Path:
        """Where a service's output goes."""
        return self._folder / f"{name}.log"

    def last_words(self, name: str, n_lines: int = 8) -> str:
        """The end of a service's log, for a message."""
        path = self.log(name)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return "\n".join(f"    {line}" for line in lines[-n_lines:]) or "    (its log is empty)"

    def _ask(self, method: str, *arguments: object) -> Any:
        """Call the process manager; OSError when it is not there."""
        with closing(SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")) as transport:
            server = xmlrpc.client.ServerProxy("http://unix-socket", transport=transport)
            return getattr(server.supervisor, method)(*arguments)

    def _config(self, plan: ServicePlan) -> RawConfigParser:
        config = RawConfigParser()
        config["supervisord"] = {
            "logfile": "supervisord.log",  # these names are relative to the folder it is started in
            "pidfile": "supervisord.pid",
        }
        config["unix_http_server"] = {"file": _literal(self._socket), "chmod": "0600"}
        config["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        for priority, service in enumerate(plan.services):
            config[f"program:{service.name}"] = {
                "command": _literal(shlex.join(service.command)),
                "directory": _literal(plan.directory),
                "priority": str(priority),
                "autostart": "false",
                "autorestart": "true",
                "startretries": "3",
                "stopwaitsecs": str(STOP_SECONDS),
                # A service is all its processes: Airflow alone is five, and its parent does not end its children.
                "stopasgroup": "true",
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": self.log(service.name).name,
                "stdout_logfile_maxbytes": "10MB",
                "stdout_logfile_backups": "1",
            }
        return config


def _literal(value: object) -> str:
    """A value in which supervisord finds nothing to expand."""
    return str(value).replace("%", "%%")


def _end(processes: list[psutil.Process]) -> list[str]:
    """Ask processes to end, then make them; returns their names."""
    names = [_process_text(process) for process in processes]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=MANAGER_SECONDS)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=MANAGER_SECONDS)
    return names


def _process_text(process: psutil.Process) -> str:
    with suppress(psutil.NoSuchProcess):
        return f"{process.name()} (pid {process.pid})"
    return f"pid {process.pid}"
