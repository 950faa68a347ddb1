"""docker-compose.yml is well formed, and every command, module, path, port and variable in it exists in the project.

No Docker engine is at hand where these tests run; the specification's own schema comes with check-jsonschema.
"""

import json
import re
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import jsonschema
import pytest
import typer.main
from ruamel.yaml import YAML

from cli.main import command_line
from cli.services.plan import Ports

COMPOSE_SPECIFICATION = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
TOP = Path(__file__).resolve().parents[3]
TEXT = (TOP / "docker-compose.yml").read_text()
COMPOSE = YAML(typ="safe", pure=True).load(TEXT)
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
# Ends when its work is done, so there is nothing to ask it.
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


def commands(service):
    """The command of a service and the one that its health check runs, as words."""
    yield service.get("command", [])
    kind, *words = service.get("healthcheck", {}).get("test", ["NONE"])
    if kind == "CMD":
        yield words


def all_commands(program):
    return [words for service in OURS.values() for words in commands(service) if words and words[0] == program]


def example():
    lines = (TOP / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def python(code, *arguments):
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_the_file_follows_the_specification():
    schema = json.loads(COMPOSE_SPECIFICATION.read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(COMPOSE)


def test_a_misspelt_key_would_be_found():
    schema = json.loads(COMPOSE_SPECIFICATION.read_text())
    broken = {**COMPOSE, "services": {**SERVICES, "redis": {**SERVICES["redis"], "helthcheck": {}}}}
    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        jsonschema.validators.validator_for(schema)(schema).validate(broken)


def test_every_image_is_pinned_to_a_full_version():
    for name, service in SERVICES.items():
        assert re.search(r":\d+\.\d+(\.\d+)?(-[a-z]+)?$", service["image"]), f"pin the image of {name}"
    base = re.search(r"^FROM (\S+)$", (TOP / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base.group(1))


def test_the_image_of_our_own_carries_the_version_of_the_project():
    version = re.search(r'^version = "(.*)"$', (TOP / "pyproject.toml").read_text(), re.MULTILINE).group(1)
    assert {service["image"] for service in OURS.values()} == {f"slatework:{version}"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_that_goes_on_running_has_a_health_check(name):
    assert ("healthcheck" in SERVICES[name]) != (name in ONE_SHOT)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_exists_and_can_come_true(name):
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
        assert wanted["condition"] == expected, f"{name} waits for {other}"


def test_ports_are_published_on_loopback_alone_and_moved_by_the_variables_of_slate_up():
    published = {
        name: re.fullmatch(r"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:(\d+)", port).groups()
        for name, service in SERVICES.items()
        for port in service.get("ports", [])
    }
    ports = Ports()
    assert published == {
        "mlflow": ("SLATE_MLFLOW_PORT", str(ports.mlflow), "5000"),
        "airflow-api-server": ("SLATE_AIRFLOW_PORT", str(ports.airflow), "8080"),
        "api": ("SLATE_API_PORT", str(ports.api), "8000"),
    }


@pytest.mark.parametrize("name", ["mlflow", "airflow-api-server", "api"])
def test_a_published_port_is_the_one_the_service_listens_on(name):
    service = SERVICES[name]
    inside = service["ports"][0].rpartition(":")[2]
    assert f"--port={inside}" in service["command"]
    assert any(f"127.0.0.1:{inside}/" in word for word in service["healthcheck"]["test"])


def test_addresses_inside_name_services_and_the_ports_they_listen_on():
    listening = {"postgres": "5432", "redis": "6379", "mlflow": "5000", "airflow-api-server": "8080"}
    for host, port in re.findall(r"(?://|@)([a-z-]+):(\d+)", TEXT):
        assert listening[host] == port, f"{host}:{port}"


def test_every_named_volume_is_declared_and_used():
    sources = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert {source for source in sources if not source.startswith(".")} == set(COMPOSE["volumes"])


def test_every_path_of_the_checkout_exists():
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    built = [service["build"]["dockerfile"] for service in OURS.values()]
    copied = re.findall(r"^COPY (.*) \S+$", (TOP / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line.split() if not name.startswith("--")]
    for name in [name for name in mounted if name.startswith(".")] + built + names:
        assert (TOP / name).exists(), name


def test_every_program_is_in_the_image():
    """Programs of the environment, and the scripts that the Dockerfile puts on PATH."""
    scripts = re.findall(r"docker/([a-z-]+)\b", (TOP / "docker" / "Dockerfile").read_text())
    programs = {words[0] for service in OURS.values() for words in commands(service) if words}
    for program in programs - set(scripts):
        assert (Path(sys.executable).parent / program).exists(), program
    for script in TOP.glob("docker/*"):
        if script.read_bytes().startswith(b"#!"):
            assert script.stat().st_mode & 0o111, f"{script} is not executable"
            subprocess.run(["sh", "-n", str(script)], check=True)


def test_every_command_of_slate_exists_with_these_options():
    calls = all_commands("slate")
    assert len(calls) == 3
    for _, name, *options in calls:
        command = typer.main.get_command(command_line()).commands[name]
        command.make_context(name, list(options)).close()  # parses, and runs nothing


def test_every_command_of_airflow_exists_with_these_options():
    calls = all_commands("airflow")
    assert len(calls) == 5
    code = (
        "import json, sys; from airflow.cli.cli_parser import get_parser\n"
        "for words in json.loads(sys.argv[1]): get_parser().parse_args(words[1:])"
    )
    done = python(code, json.dumps([*calls, ["airflow", "db", "migrate"]]))
    assert done.returncode == 0, done.stderr


def test_every_command_of_mlflow_exists_with_these_options():
    calls = all_commands("mlflow")
    assert len(calls) == 1
    code = (
        "import json, sys; from mlflow.cli import cli\n"
        "for _, name, *options in json.loads(sys.argv[1]): cli.commands[name].make_context(name, options)"
    )
    done = python(code, json.dumps(calls))
    assert done.returncode == 0, done.stderr


def test_every_module_that_a_script_runs_exists():
    texts = [path.read_text() for path in TOP.glob("docker/*")] + [TEXT]
    modules = {module for text in texts for module in re.findall(r"python -m ([\w.]+)", text)}
    assert modules == {"cli.main"}
    assert all(find_spec(module) for module in modules)


def test_every_variable_of_the_file_is_in_the_example_and_the_other_way_round():
    assert {name for name, _, _ in VARIABLE.findall(TEXT)} == set(example())


def test_a_password_must_be_set_and_a_port_has_its_default():
    for name, sign, value in VARIABLE.findall(TEXT):
        assert (sign, value) == (("-", example()[name]) if name.endswith("PORT") else ("?", "set it in .env")), name
    assert all(not value for name, value in example().items() if not name.endswith("PORT"))


def test_every_setting_of_airflow_is_one_that_airflow_reads():
    folder = Path(find_spec("airflow").origin).parent
    known = YAML(typ="safe", pure=True).load((folder / "config_templates" / "config.yml").read_text())
    for name in {key for service in OURS.values() for key in service.get("environment", {})}:
        if name.startswith("AIRFLOW__"):
            _, section, option = name.lower().split("__")
            assert option in known[section]["options"], name


def test_every_other_variable_is_read_by_a_program_that_gets_it():
    ours = "".join(
        path.read_text()
        for room in ("contracts", "feature_store", "release", "cli")
        for path in (TOP / room).rglob("*.py")
    ) + "".join(path.read_text() for path in TOP.glob("docker/*"))
    mlflow = "".join(
        (Path(find_spec("mlflow").origin).parent / name).read_text()
        for name in ("environment_variables.py", "cli/__init__.py")
    )
    libpq = next(path for path in Path(sys.prefix).rglob("libpq*.so*")).read_bytes()
    for name in {key for service in OURS.values() for key in service.get("environment", {})}:
        if not name.startswith("AIRFLOW__") and name != "AIRFLOW_HOME":
            assert name in ours or f'"{name}"' in mlflow or name.encode() in libpq, name


def test_no_password_becomes_part_of_an_address():
    assert not re.search(r"://\S*\$\{\w*PASSWORD", TEXT)


@pytest.mark.parametrize("name", [name for name in OURS if "postgres" in SERVICES[name].get("depends_on", {})])
def test_who_needs_the_database_has_its_password_beside_the_address(name):
    assert "PGPASSWORD" in SERVICES[name]["environment"]


def test_every_database_that_an_address_names_is_made():
    named = set(re.findall(r"@postgres:5432/(\w+)", TEXT))
    made = re.search(r"^for name in (.*); do$", (TOP / "docker" / "create-databases.sh").read_text(), re.MULTILINE)
    assert named == set(made.group(1).split()) == {"airflow", "journal", "mlflow"}


def test_drivers_for_the_databases_are_locked_with_hashes():
    locked = "".join((TOP / folder / "requirements.lock").read_text() for folder in ("docker", "."))
    for name in ("asyncpg", "psycopg2-binary"):
        assert re.search(rf"^{name}==\S+ \\\n    --hash=sha256:", locked, re.MULTILINE)


def test_redis_keeps_every_write_and_evicts_nothing():
    (command,) = SERVICES["redis"]["command"][2:]
    for option in ("--appendonly yes", "--appendfsync everysec", "--maxmemory-policy noeviction"):
        assert option in command
