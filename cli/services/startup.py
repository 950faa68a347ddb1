"""Brings the planned services up, wave by wave, and says how far it is."""

from __future__ import annotations

import time

from cli.services.control import ServiceControl, Status
from cli.services.plan import Service, ServicePlan
from contracts.errors import WorkspaceError

UP_WITHIN_SECONDS = 300  # Airflow makes its database at the first start: half a minute on two idle cores
POLL_SECONDS = 0.25


def bring_up(control: ServiceControl, plan: ServicePlan, within_seconds: float = UP_WITHIN_SECONDS) -> None:
    """Start the plan's services, and return when all of them answer.

    When one does not, all are stopped again and WorkspaceError says which, with the end of its log.
    """
    control.launch(plan)
    pids: dict[str, int] = {}
    try:
        for wave in plan.waves:
            for service in wave:
                control.start(service)
            _wait_until_up(control, wave, pids, within_seconds)
    except BaseException:
        control.stop()
        raise


def _wait_until_up(control: ServiceControl, wave: list[Service], pids: dict[str, int], within_seconds: float) -> None:
    started = time.monotonic()
    waiting = list(wave)
    while waiting:
        seconds = time.monotonic() - started
        statuses = {status.name: status for status in control.statuses()}
        for status in statuses.values():
            if _has_crashed(status, pids):
                raise _not_up(control, status.name, "ended")
        if seconds > within_seconds:
            raise _not_up(control, waiting[0].name, f"did not answer within {seconds:.0f} s")
        for service in [service for service in waiting if statuses[service.name].is_running and service.answers()]:
            told = service.says()
            print(f"  {service.name:8} up after {seconds:3.0f} s{told and ', '}{told}", flush=True)
            waiting.remove(service)
        time.sleep(POLL_SECONDS if waiting else 0)


def _has_crashed(status: Status, pids: dict[str, int]) -> bool:
    """Whether a service ended since it was started, even if the process manager has started it again meanwhile."""
    restarted = status.pid > 0 and pids.setdefault(status.name, status.pid) != status.pid
    return status.has_failed or restarted


def _not_up(control: ServiceControl, name: str, what: str) -> WorkspaceError:
    return WorkspaceError(
        f"The service {name} {what}; everything was stopped again. Its last words:\n{control.last_words(name)}",
        f"Read {control.log(name)}, mend what it names, and run `slate up` again.",
    )
