"""`slate up` and `slate down`: a real process manager, with small programs in place of the services."""

import os
import socket
import sys
from pathlib import Path

import psutil
import pytest

from cli.services.control import ServiceControl
from cli.services.health import readiness, responds
from cli.services.plan import VARIABLES, Ports, Service, ServicePlan, airflow_environment, plan_services
from cli.services.startup import bring_up
from contracts.errors import PortTaken, SettingsError, WorkspaceError
from feature_store.server.server_program import free_port

TOP = Path(__file__).resolve().parents[3]
# A server that starts a process in a session of its own, as Airflow does with a task.
FAMILY = """
import http.server, subprocess, sys
child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
print("child", child.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


# A server whose release is loaded when it is asked for the third time.
SLOW_TO_BE_READY = """
import http.server, json, sys
asked = []
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(1)
        print("asked", len(asked), "times", flush=True)
        status, report = (503, {{"message": "Starting."}}) if len(asked) < 3 else ({status}, {report})
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(report).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.fixture
def control(home):
    made = ServiceControl(home)
    yield made
    made.stop()


def web(name: str, code: str = FAMILY) -> Service:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    return Service(name, [sys.executable, "-c", code, str(port)], address, responds(address))


def plan(tmp_path: Path, *waves: list[Service]) -> ServicePlan:
    return ServicePlan(list(waves), dict(os.environ), tmp_path)


def family_of(control: ServiceControl) -> list[psutil.Process]:
    pids = [status.pid for status in control.statuses()]
    return [child for pid in pids for child in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))]


def test_services_come_up_in_waves_and_are_found_where_they_were_planned(control, tmp_path, capsys):
    first, second = web("first"), web("second")
    bring_up(control, plan(tmp_path, [first], [second]))
    assert [status.name for status in control.statuses()] == ["first", "second"]
    assert all(status.is_running for status in control.statuses())
    assert [status.address for status in control.statuses()] == [first.address, second.address]
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["first", "second"]


@pytest.mark.parametrize(
    ("status", "report", "told"),
    [
        (200, {"ready": True, "release_id": "r-1"}, "ready with release r-1"),
        (503, {"message": "Nothing is there.", "next_step": "Promote."}, "not ready: Nothing is there. Promote."),
    ],
)
def test_the_api_is_up_once_it_is_ready_or_says_why_not(control, tmp_path, capsys, status, report, told):
    """It says twice that it starts, before it says how it is."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/readyz"
    says = readiness(url, "Starting.")
    program = tmp_path / "slow_to_be_ready.py"
    program.write_text(SLOW_TO_BE_READY.format(status=status, report=report))
    api = Service("api", [sys.executable, str(program), str(port)], url, lambda: bool(says()), says)
    bring_up(control, plan(tmp_path, [api]))
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith(f" s, {told}")
    assert "asked 3 times" in control.log("api").read_text()


def test_nothing_is_left_running_after_down_not_even_what_a_service_put_in_a_session_of_its_own(control, tmp_path):
    bring_up(control, plan(tmp_path, [web("first")]))
    family = family_of(control)
    assert len(family) == 2
    stragglers = control.stop()
    assert not any(process.is_running() for process in family)
    assert [name.split()[0] for name in stragglers] == ["sleep"]
    assert not control.is_running
    assert control.statuses() == []


def test_stopping_what_does_not_run_does_nothing(control):
    assert control.stop() == []


def test_a_service_that_ends_at_once_stops_everything_and_is_named_with_its_last_words(control, tmp_path):
    broken = web("broken", "raise SystemExit('no such thing as a free lunch')")
    with pytest.raises(WorkspaceError, match="broken ended") as raised:
        bring_up(control, plan(tmp_path, [web("first")], [broken]))
    assert "no such thing as a free lunch" in raised.value.problem
    assert "broken.log" in raised.value.next_step
    assert not control.is_running


def test_a_service_that_lives_but_never_answers_is_given_up(control, tmp_path):
    mute = web("mute", "import time; time.sleep(1000)")
    with pytest.raises(WorkspaceError, match="mute did not answer within"):
        bring_up(control, plan(tmp_path, [mute]), within_seconds=0)
    assert not control.is_running


def test_a_percent_sign_and_a_quote_in_a_path_are_taken_as_they_are(home, tmp_path):
    odd = tmp_path / "100% 'odd' name"
    odd.mkdir()
    control = ServiceControl(type(home)(odd / "home"))
    try:
        bring_up(control, ServicePlan([[web("first")]], dict(os.environ), odd))
        assert control.log("first").is_file()
    finally:
        control.stop()


@pytest.mark.parametrize("name", VARIABLES)
def test_a_taken_port_is_named_with_the_variable_that_moves_it(name):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = Ports(**{**{key: free_port() for key in VARIABLES}, name: port})
        with pytest.raises(PortTaken) as raised:
            ports.check_free()
    assert str(port) in raised.value.problem
    assert VARIABLES[name] in raised.value.next_step


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "80.5"])
def test_a_variable_that_holds_no_port_is_refused(value):
    with pytest.raises(SettingsError, match="SLATE_API_PORT"):
        Ports.from_environment({"SLATE_API_PORT": value})


def test_two_services_on_one_port_are_refused_before_anything_starts():
    with pytest.raises(SettingsError, match="SLATE_MLFLOW_PORT=8000"):
        Ports.from_environment({"SLATE_MLFLOW_PORT": "8000"})


def test_ports_are_the_documented_ones_unless_moved():
    assert Ports.from_environment({}) == Ports(api=8000, mlflow=5000, airflow=8080)
    assert Ports.from_environment({"SLATE_AIRFLOW_PORT": "18080"}) == Ports(airflow=18080)


def test_every_service_is_told_of_the_others(home):
    made = plan_services(TOP, home, Ports(), {"PATH": "/usr/bin"})
    assert [service.name for service in made.services] == ["redis", "mlflow", "airflow", "api", "sync"]
    addresses = {service.name: service.address for service in made.services}
    assert made.environment["REDIS_URL"] == addresses["redis"]
    assert made.environment["MLFLOW_TRACKING_URI"] == addresses["mlflow"]
    assert made.environment["SLATE_API_URL"] == addresses["api"]
    assert made.environment["SLATE_HOME"] == str(home.root)
    assert made.environment["PATH"] == f"{Path(sys.executable).parent}:/usr/bin"


def test_stores_that_the_environment_names_are_used_and_not_started(home):
    named = {"REDIS_URL": "redis://elsewhere:6379/0", "MLFLOW_TRACKING_URI": "http://elsewhere:5000"}
    made = plan_services(TOP, home, Ports(), named)
    assert [service.name for service in made.services] == ["airflow", "api", "sync"]
    assert named.items() <= made.environment.items()


@pytest.mark.parametrize(("named", "disabled"), [({}, "true"), ({"MLFLOW_DISABLE_TELEMETRY": "false"}, "false")])
def test_mlflow_reports_home_only_where_somebody_says_so(home, named, disabled):
    assert plan_services(TOP, home, Ports(), named).environment["MLFLOW_DISABLE_TELEMETRY"] == disabled


def test_every_service_listens_on_loopback_alone(home):
    made = plan_services(TOP, home, Ports(), {})
    assert all(service.address.split("//")[1].startswith("127.0.0.1:") for service in made.services if service.address)
    assert airflow_environment(TOP, home, 8080)["AIRFLOW__API__HOST"] == "127.0.0.1"


def test_airflow_finds_the_dags_of_the_checkout(home):
    assert Path(airflow_environment(TOP, home, 8080)["AIRFLOW__CORE__DAGS_FOLDER"]) == TOP / "dags"
