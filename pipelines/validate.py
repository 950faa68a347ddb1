"""Stage `validate`: `data/raw/` -> `data/valid/`, `data/quarantine/`, `reports/validation.json`.

Bad rows go to quarantine with their reasons; where too many are bad, or a rule about a whole table breaks, the stage
fails. Either way a report (every rule, its counts, the bad rows) is left in SLATE_HOME/runs/<workspace>/validation/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from contracts.clock import Clock, WallClock
from contracts.json_file import write_json
from contracts.printable import printable
from contracts.settings.features import FeatureSettings
from contracts.settings.group import Group
from contracts.settings.validate import ValidateSettings
from contracts.whole_files import whole_folder
from pipelines.paths import QUARANTINE, RAW, VALID, VALIDATION_RESULT
from pipelines.stage_run import run_folder, run_stage
from sources.canonical.origins import Origins
from sources.canonical.refusals import load_refusals
from sources.validation.baseline import read_baseline
from sources.validation.data_docs import write_docs
from sources.validation.suite_engine import suite_engine
from sources.validation.table_check import RowFolders
from sources.validation.validation import Validation, check_tables, scan_tables


class Params(Group):
    """What the stage reads of params.yaml."""

    features: FeatureSettings
    validate_: ValidateSettings = Field(alias="validate")


def run(settings: Params, clock: Clock | None = None) -> dict[str, Any]:
    """Validate `data/raw/`; returns the counts. clock: says what is in the future, by default the wall's."""
    report = run_folder() / "validation"
    with whole_folder(VALID) as valid, whole_folder(QUARANTINE) as quarantine:
        validation = check_tables(
            scan_tables(RAW),
            settings.validate_,
            RowFolders(valid, quarantine),
            baseline=read_baseline(settings.validate_.baseline),
            now=(clock or WallClock()).now(),
            origins=Origins(RAW),
            refused=load_refusals(RAW),
            engine=suite_engine(settings.features.engine),
        )
        with whole_folder(report) as folder:
            _write_report(validation, folder)
        validation.raise_failures(report)
    write_json(validation.result, VALIDATION_RESULT)
    for warning in validation.warnings:
        print(printable(f"warning: {warning}"))
    counts = {name: {"valid": one.n_valid, "quarantined": one.n_quarantined} for name, one in validation.tables.items()}
    for name, count in counts.items():
        print(f"{name}: {count['valid']:,} valid, {count['quarantined']:,} in quarantine")
    return {"tables": counts, "report": str(report)}


def _write_report(validation: Validation, folder: Path) -> None:
    write_docs(validation, folder)
    validation.save_quarantine(folder / "quarantine")
    write_json(validation.result, folder / "validation.json")
    write_json(validation.files, folder / "files.json")


if __name__ == "__main__":
    run_stage("validate", Params, run)
