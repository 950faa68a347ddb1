"""Nothing that we run reports home unless somebody asks for it, outside `slate up` too."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from ruamel.yaml import YAML

CHECKOUT = Path(__file__).resolve().parents[2]


def test_dvc_sends_no_analytics_and_asks_for_no_newer_version() -> None:
    from dvc.config import Config

    core = Config(dvc_dir=str(CHECKOUT / ".dvc"))["core"]
    assert (core["analytics"], core["check_update"]) == (False, False)


@pytest.mark.parametrize(("named", "read"), [({}, "true"), ({"MLFLOW_DISABLE_TELEMETRY": "false"}, "false")])
@pytest.mark.parametrize("module", ["registration", "registry; release.registry.registry.load_mlflow()"])
def test_mlflow_finds_its_telemetry_off_when_it_is_imported(
    tmp_path: Path, module: str, named: dict[str, str], read: str
) -> None:
    (tmp_path / "mlflow.py").write_text(
        "import os; os.write(1, os.environ['MLFLOW_DISABLE_TELEMETRY'].encode()); os._exit(0)"
    )
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", f"import release.registry.{module}"],
        env={**inherited, **named, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(CHECKOUT)])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == read


def test_airflow_collects_no_usage() -> None:
    """Older versions did unless `usage_data_collection.enabled` was false: one that does again must be told so."""
    spec = find_spec("airflow")
    assert spec is not None
    assert spec.origin is not None
    known = YAML(typ="safe", pure=True).load((Path(spec.origin).parent / "config_templates" / "config.yml").read_text())
    assert "usage_data_collection" not in known


def test_great_expectations_sends_no_events() -> None:
    from sources.validation.suite_engine import _context

    assert _context().config.analytics_enabled is False
