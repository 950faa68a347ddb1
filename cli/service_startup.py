"""Brings the planned services up, wave by wave, and says how far it is."""

from __future__ import annotations

import time

from cli.service_control import ServiceControl
from cli.service_plan import Plan, Service
from contracts.errors import WorkspaceError

UP_WITHIN_SECONDS = 300  # Airflow makes its database at the first start: half a minute on two idle cores
POLL_SECONDS = 0.25


def bring_up(control: ServiceControl, plan: Plan, within_seconds: float = UP_WITHIN_SECONDS) -> None:
    """Start the plan's services, and return when all of them answer.

    When one does not, all are stopped again and WorkspaceError says which, with the end of its log.
    """
    control.launch(plan)
    try:
        for wave in plan.waves:
            for service in wave:
                control.start(service)
            _wait_until_up(control, wave, within_seconds)
    except BaseException:
        control.stop()
        raise


def _wait_until_up(control: ServiceControl, wave: list[Service], within_seconds: float) -> None:
    started = time.monotonic()
    waiting = list(wave)
    while waiting:
        seconds = time.monotonic() - started
        states = {status.name: status for status in control.statuses()}
        failed = [service for service in waiting if states[service.name].has_failed]
        if failed or seconds > within_seconds:
            raise _not_up(control, (failed or waiting)[0], seconds)
        for service in [service for service in waiting if states[service.name].is_running and service.answers()]:
            print(f"  {service.name:8} up after {seconds:3.0f} s", flush=True)
            waiting.remove(service)
        time.sleep(POLL_SECONDS if waiting else 0)


def _not_up(control: ServiceControl, service: Service, seconds: float) -> WorkspaceError:
    return WorkspaceError(
        f"The service {service.name} did not come up within {seconds:.0f} s; all were stopped again. Its last words:\n"
        f"{control.last_words(service.name)}",
        f"Read {control.log(service.name)}, mend what it names, and run `slate up` again.",
    )
