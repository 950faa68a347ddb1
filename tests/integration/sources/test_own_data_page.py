"""docs/own-data.md, followed word for word: from files that nobody has seen to slates."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import polars as pl
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.main import command_line
from contracts.settings.presets import load_preset
from contracts.settings.settings import Settings, load_settings
from pipelines import candidates, evaluate, features, index, ingest, publish, ranking, release, validate
from pipelines.paths import EVALUATION, RAW, VALID, Cutoff
from pipelines.runs.overrides import write_overrides
from tests.e2e.conftest import make_checkout
from tests.promotion_worlds import FOREIGN_WARNINGS
from tests.web_shop import write_web_shop

pytestmark = FOREIGN_WARNINGS
CHECKOUT = Path(__file__).parents[3]
PAGE = (CHECKOUT / "docs/own-data.md").read_text()
COMMANDS = re.findall(r"^    (\S.*)$", PAGE.split("## When a column")[0], re.MULTILINE)
YAML_OF_PAGE = YAML(typ="safe", pure=True)


def paste(printed: str) -> Settings:
    """Do with params.yaml what the page says."""
    proposed, params = YAML_OF_PAGE.load(printed), YAML_OF_PAGE.load(Path("params.yaml").read_text())
    params["ingest"] = proposed["ingest"]
    params["validate"] |= proposed["validate"]
    params["app"] = "giftshop"
    with Path("params.yaml").open("w") as file:
        YAML().dump(params, file)
    return load_settings()


def repro(settings: Settings) -> None:
    """What `dvc repro` does: every stage of the graph, in its order, and the lock."""
    ingest.run(settings)
    validate.run(settings)
    features.run(settings)
    for cutoff in Cutoff:
        candidates.run(settings, cutoff)
        index.run(settings, cutoff)
    ranking.run(settings)
    evaluate.run(settings)
    release.run(settings)
    publish.run(settings)
    Path("dvc.lock").write_text("schema: '2.0'\n")


def slate(command: str) -> str:
    """Type a command of the page; what it prints."""
    program, *words = shlex.split(command)
    assert program == "slate"
    done = CliRunner().invoke(command_line(), words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_page_leads_from_files_to_slates(
    tmp_path: Path, home: object, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.chdir(make_checkout(tmp_path / "own").folder)
    make_environment, make_export, inspect, reproduce, register, promote, recommend = COMMANDS
    assert make_environment == "make env && source .venv/bin/activate"
    assert make_export == "python -m tests.web_shop inbox"
    write_web_shop(Path(make_export.split()[-1]))
    settings = paste(slate(inspect))
    assert reproduce == "dvc repro"
    repro(settings)
    events = pl.read_parquet(VALID / "interactions.parquet")
    assert set(events["event_type"]) == {"purchase", "return"}
    assert pl.read_parquet(RAW / "items.parquet").filter(item_id="21000A")["title"].to_list() == ["RED LANTERN"]
    assert (EVALUATION / "metrics.json").is_file()
    assert "registered release r-" in slate(register)
    assert "version 1 accepted for Production" in slate(promote)
    shown = slate(recommend)
    assert "tier personal" in shown
    assert [line.split()[0] for line in shown.splitlines()[2:]] == ["1", "2", "3", "4", "5"]


def test_every_mapping_of_the_page_is_one() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    mappings = [block for block in blocks if not block.startswith("app:")]
    assert len(mappings) == 3
    for block in mappings:
        values = YAML_OF_PAGE.load((CHECKOUT / "params.yaml").read_text())
        values["ingest"] |= {"source": "files", "files": YAML_OF_PAGE.load(block)}
        Settings.model_validate(values)


def test_the_preset_of_the_page_makes_an_application(tmp_path: Path) -> None:
    (block,) = [one for one in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if one.startswith("app:")]
    shutil.copy(CHECKOUT / "params.yaml", tmp_path)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/bookshop.yaml").write_text(block)
    write_overrides(tmp_path / "params.yaml", load_preset(tmp_path, "bookshop"))
    settings = load_settings(tmp_path / "params.yaml")
    assert (settings.app, settings.ingest.source, settings.validate_.max_value) == ("bookshop", "files", 5.0)
