from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli import demo


def test_a_stage_that_dvc_answered_from_its_cache_has_no_cost_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.stage_run.run_folder", lambda: tmp_path)
    (tmp_path / "ingest.json").write_text(json.dumps({"seconds": 1.25, "peak_memory_mib": 200}))
    demo._show_costs()
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("ingest")).split() == ["ingest", "1.2", "200"]
    assert next(line for line in lines if line.startswith("validate")).split() == ["validate", "from", "the", "cache"]
