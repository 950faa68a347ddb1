"""`slate up`, `slate down`, `slate status`: Airflow, MLflow, Redis, the API and the promotion watch on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_json
from contracts.home import Home, find_home

if TYPE_CHECKING:
    from cli.services.control import ServiceControl

PASSWORDS = "simple_auth_manager_passwords.json.generated"  # made by Airflow's own login


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command(hidden=True)(redis)


def up() -> None:
    """Start Airflow, MLflow, Redis, the API and the promotion watch, and print where they are."""
    from cli.services.control import ServiceControl
    from cli.services.plan import Ports, plan_services
    from cli.services.startup import bring_up
    from contracts.settings.settings import load_settings

    load_settings()  # what is wrong with params.yaml is said here, not in the log of a service
    home = find_home()
    control = ServiceControl(home)
    if control.is_running:
        print("running already; `slate down` stops it\n")
    else:
        ports = Ports.from_environment(os.environ)
        ports.check_free()
        print(f"starting; what each service says is in {home.services}")
        bring_up(control, plan_services(Path.cwd(), home, ports, os.environ))
    _print_status(control)
    _print_password(home)


def down() -> None:
    """Stop every process that `slate up` started; Redis saves its data first."""
    from cli.services.control import ServiceControl
    from feature_store.server import embedded_redis

    home = find_home()
    control = ServiceControl(home)
    if not control.is_running:
        url = embedded_redis.stop_left_over(home)
        print(f"stopped the Redis at {url}, which an earlier command left" if url else "nothing was running")
        return
    stragglers = control.stop()
    print("stopped" + (f"; ended apart from their service: {', '.join(stragglers)}" if stragglers else ""))


def status(*, as_json: AsJson = False) -> None:
    """Show which services run, and where."""
    from cli.services.control import ServiceControl

    control = ServiceControl(find_home())
    if as_json:
        print_json([asdict(service) for service in control.statuses()])
    elif control.is_running:
        _print_status(control)
    else:
        print("nothing is running; `slate up` starts it")


def redis(port: Annotated[int, typer.Option(help="Port to listen on, loopback only.")]) -> None:
    """Run the embedded Redis in the foreground, for a process manager."""
    from feature_store.server.embedded_redis import serve

    serve(find_home(), port)


def _print_status(control: ServiceControl) -> None:
    for service in control.statuses():
        print(f"{service.name:10}{service.state.lower():12}{service.pid or '-':<9}{service.address}")


def _print_password(home: Home) -> None:
    try:
        passwords = json.loads((home.airflow / PASSWORDS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        print(f"\nAirflow's password is in {home.airflow / PASSWORDS}")
        return
    for user, password in passwords.items():
        print(f"\nAirflow: user {user}, password {password}")
