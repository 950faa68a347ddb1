"""What Airflow makes of the DAG files, asked once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
# What a person might type into the trigger form, or paste into it by mistake.
NASTY = "a'b\"; $(touch injected) `touch injected` \n && touch injected; {{ 1 + 1 }} \\"
CONTEXT = {
    "run_id": f"manual {NASTY}",
    "ts_nodash": "20260101T000000",
    "params": {"ref": NASTY, "source": "movielens", "overrides": {"ingest.path": NASTY, "seed": 8}},
}


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The DAG folder as Airflow parses it, with task fields rendered for the nasty context."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))
    environment["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("describe_dags.py")), str(TOP / "dags"), json.dumps(CONTEXT)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # Airflow logs to stdout before it


@pytest.fixture(scope="session")
def dags(parsed: dict) -> dict:
    return parsed["dags"]
