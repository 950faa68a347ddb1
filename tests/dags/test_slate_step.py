"""What Airflow is told of a command that failed: whether to try again, and the cause in its own words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dags.conftest import TOP

SAY = 'printf "ingest: SourceError: the file is gone" > "$SLATE_CAUSE_FILE"; '
COMMANDS = {
    "goes well": 'test "$ONE" = 1 && test -n "$PATH"',
    "fails": f"{SAY}exit 1",
    "is misused": "exit 2",
    "found something away": f"{SAY}exit 75",
    "was killed": "kill -TERM $$",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))
    command = [sys.executable, str(Path(__file__).with_name("run_slate_steps.py")), str(TOP / "dags")]
    done = subprocess.run(
        [*command, json.dumps(list(COMMANDS.values()))], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(COMMANDS, json.loads(done.stdout.splitlines()[-1]), strict=True))


def test_a_command_that_ends_well_has_its_own_environment_and_that_of_the_services(outcomes):
    assert outcomes["goes well"] == ["", ""]


def test_what_would_end_alike_is_not_tried_again_and_the_cause_is_the_error(outcomes):
    assert outcomes["fails"] == ["AirflowFailException", "ingest: SourceError: the file is gone"]
    assert outcomes["is misused"][0] == "AirflowFailException"


def test_what_may_go_well_later_is_tried_again(outcomes):
    assert outcomes["found something away"] == ["AirflowException", "ingest: SourceError: the file is gone"]
    assert outcomes["was killed"][0] == "AirflowException"
    assert "said nothing of the cause" in outcomes["was killed"][1]
