"""As a new user would: a shop's export that the project has never seen is inspected, mapped, ingested and validated."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.main import command_line
from contracts import progress
from contracts.clock import FixedClock
from contracts.errors import SourceError, ValidationFailed, WorkspaceError
from contracts.printable import printable
from contracts.settings.settings import Settings, load_settings
from contracts.tables import CanonicalTables
from pipelines import features, ingest, validate
from pipelines.paths import FEATURES, QUARANTINE, RAW, VALID
from tests.shop_export import EVENTS, GOODS, write_shop

CHECKOUT = Path(__file__).parents[3]
NOW = FixedClock(datetime(2024, 9, 1, tzinfo=UTC))
YAML_IN_PAGES = YAML(typ="safe", pure=True)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's export as it came."""
    return write_shop(tmp_path_factory.mktemp("shop"))


def checkout_with(export: Path, folder: Path) -> Path:
    folder.mkdir()
    shutil.copy(CHECKOUT / "params.yaml", folder)
    shutil.copytree(CHECKOUT / "baselines", folder / "baselines")
    shutil.copytree(export, folder / "inbox")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, home: object, export: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the export in its inbox."""
    folder = checkout_with(export, tmp_path / "checkout")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, export: Path) -> str:
    """What `slate inspect inbox` prints of the export."""
    folder = checkout_with(export, tmp_path_factory.mktemp("inspected") / "checkout")
    with contextlib.chdir(folder):
        return run("inspect", "inbox")


def run(*arguments: str) -> str:
    """What a command of `slate` prints; it must succeed."""
    result = CliRunner().invoke(command_line(), arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def paste(printed: str) -> None:
    """Do with params.yaml what the page says: one group replaced, two keys set."""
    proposed, params = YAML_IN_PAGES.load(printed), YAML_IN_PAGES.load(Path("params.yaml").read_text())
    params["ingest"] = proposed["ingest"]
    params["validate"] |= proposed["validate"]
    with Path("params.yaml").open("w") as file:
        YAML().dump(params, file)


@pytest.fixture
def settings(workspace: Path, page: str) -> Settings:
    """The parameters after the proposal was pasted."""
    paste(page)
    return load_settings()


def change_events(edit: Callable[[list[str]], list[str]]) -> None:
    path = Path("inbox") / EVENTS
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    path.write_bytes(gzip.compress("\n".join([*edit(lines), ""]).encode()))


def test_a_name_of_its_own_is_asked_for_where_the_application_had_other_data(
    workspace: Path, settings: Settings, page: str
) -> None:
    assert "in place of `app: movies`" in page
    assert settings.ingest.source == "files"
    assert "in place of `app:" not in run("inspect", "inbox")


def test_what_was_pasted_leaves_nothing_out_that_the_graph_asks_for(settings: Settings) -> None:
    pasted = YAML_IN_PAGES.load(Path("params.yaml").read_text())
    for key in re.findall(r"\$\{((?!item\.)[\w.]+)\}", (CHECKOUT / "dvc.yaml").read_text()):
        group, name = key.split(".")
        assert name in pasted[group], key


def test_inspect_paste_run_gives_features(workspace: Path, settings: Settings) -> None:
    mapped = settings.ingest.files
    assert mapped is not None
    assert mapped.interactions[0].columns.user_id == "kunden_nr"
    assert mapped.items is not None
    report = ingest.run(settings)
    assert report["rows"]["items"] == 40
    assert set(report["derived"]) == {"users"}
    validate.run(settings, NOW)
    tables = CanonicalTables.load(VALID)
    assert len(tables.interactions) == report["rows"]["interactions"] > 2000
    assert set(tables.interactions["event_type"]) == {"view", "add_to_cart", "purchase"}
    assert tables.items["title"][0] == "Stück 0; für Küche"
    assert tables.interactions["user_id"].str.len_chars().unique().to_list() == [6]
    features.run(settings)
    assert (FEATURES / "split.json").exists()


def test_inspect_says_its_steps_on_stderr_while_it_takes_long(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "FIRST_AFTER_S", {True: 0.0, False: 0.0})
    monkeypatch.setattr(progress, "AGAIN_AFTER_S", {True: 0.0, False: 0.0})
    monkeypatch.setattr(progress, "LOOKS_EVERY_S", 0.001)
    result = CliRunner().invoke(command_line(), ["inspect", "inbox"], catch_exceptions=False)
    assert "slate inspect: reading every row by the mapping, " in result.stderr
    assert "slate inspect: checking the rules of validation, " in result.stderr
    assert "slate inspect" not in result.stdout


def test_the_preset_that_fits_is_named_with_what_it_sets(page: str) -> None:
    assert "# The preset `shop` fits (presets/shop.yaml): it has " in page


def test_the_preset_sets_neither_what_is_of_its_own_data_nor_what_nobody_judged(workspace: Path) -> None:
    shutil.copytree(CHECKOUT / "presets", workspace / "presets")
    preset = json.loads(run("inspect", "inbox", "--json"))["params"]["preset"]
    told = YAML_IN_PAGES.load(preset)
    # Of a shop: who viewed an item may be shown it again. The rest of the preset is of its data, or was not judged.
    assert told == {"request": {"excluding_events": ["purchase"]}}
    page = run("inspect", "inbox")
    assert "# Set these, too, in the groups of params.yaml" in page
    assert "nobody judged on real data" in page
    # What is known of a kind of application is told.
    preset_file = workspace / "presets/shop.yaml"
    preset_file.write_text(f"{preset_file.read_text()}\nevaluate:\n  max_people: 123\n")
    told = YAML_IN_PAGES.load(json.loads(run("inspect", "inbox", "--json"))["params"]["preset"])
    assert told == {"evaluate": {"max_people": 123}, "request": {"excluding_events": ["purchase"]}}


def test_the_proposal_names_every_event_type_with_its_count_and_what_it_takes_it_for(workspace: Path) -> None:
    told = json.loads(run("inspect", "inbox", "--json"))
    words = told["files"]["interactions"]["event_types"]
    assert words == {
        "angesehen": "view",
        "in den Warenkorb": "add_to_cart",
        "gekauft": "purchase",
        "Newsletter geöffnet": None,
    }
    assert sum(told["event_types"].values()) == 3000
    assert told["problems"] == []
    assert told["files"]["items"]["encoding"] == "cp1252"
    assert told["files"]["items"]["category_separator"] == "/"
    assert YAML_IN_PAGES.load(told["params"]["ingest"])["ingest"]["files"] == told["files"]


@pytest.mark.parametrize(
    ("column", "cell", "rule"),
    [
        ("kunden_nr", "", "user_id_present"),
        ("kunden_nr", "   ", "user_id_sound"),
        ("kunden_nr", "9" * 10_000, "user_id_sound"),
        ("kunden_nr", "00000\uff11", "user_id_sound"),  # a full-width digit
        ("artikel", "99999", "item_is_known"),
        ("artikel", "", "item_id_present"),
        ("aktion", "gestohlen", "event_type_is_known"),
        ("zeitpunkt", "2031-01-01 00:00:00", "event_ts_in_range"),
        ("zeitpunkt", "1969-12-31 12:00:00", "event_ts_in_range"),
        ("zeitpunkt", "gestern", "readable"),
        ("betrag", "-5,00", "value_in_range"),
        ("betrag", "nan", "readable"),
        ("betrag", "inf", "readable"),
        ("betrag", "1;2", "readable"),
    ],
)
def test_a_bad_cell_goes_to_quarantine_with_its_file_row_and_reason(
    workspace: Path, settings: Settings, column: str, cell: str, rule: str
) -> None:

    def spoil(lines: list[str]) -> list[str]:
        # A purchase, for it has all the cells.
        here = next(place for place, line in enumerate(lines) if ";gekauft;" in line and place > 100)
        cells = dict(zip(lines[0].split(";"), lines[here].split(";"), strict=True))
        rows.append(here + 1)
        return [*lines[:here], ";".join((cells | {column: cell}).values()), *lines[here + 1 :]]

    rows: list[int] = []
    change_events(spoil)
    ingest.run(settings)
    validate.run(settings, NOW)
    aside = pl.read_parquet(QUARANTINE / "interactions.parquet")
    assert aside.select("file", "row").rows() == [(EVENTS, rows[0])]
    assert rule in aside["reason"][0].split(", ")
    told = json.loads(run("quarantine", "--json"))["tables"]["interactions"]
    assert told["by_rule"][rule]["rows"] == 1
    assert told["sample"][0]["row"] == rows[0]


def test_a_corrupted_copy_is_refused_with_a_message_that_leads_to_the_row(workspace: Path, settings: Settings) -> None:

    def spoil(lines: list[str]) -> list[str]:
        return [*lines[:200], *(line.replace("gekauft", "???") for line in lines[200:])]

    change_events(spoil)
    ingest.run(settings)
    with pytest.raises(ValidationFailed, match="break rule `quarantine_share`") as caught:
        validate.run(settings, NOW)
    lines = gzip.decompress((Path("inbox") / EVENTS).read_bytes()).decode().splitlines()
    rows = [int(row) for row in re.findall(rf'"file": "{EVENTS}", "row": (\d+)', str(caught.value))]
    assert len(rows) == 3
    assert all("???" in lines[row - 1] for row in rows)
    assert not VALID.exists()
    printed = run("quarantine", "--rule", "event_type_is_known", "--rows", "2")
    assert "expected that event_type is one of" in printed
    assert printed.count('"event_type": "???"') == 2
    assert "failed" in printed


def test_a_refused_export_ends_with_one_message_and_leaves_what_was_there(workspace: Path, settings: Settings) -> None:
    ingest.run(settings)
    before = {path: path.read_bytes() for path in RAW.rglob("*") if path.is_file()}
    (Path("inbox") / EVENTS).write_bytes((Path("inbox") / EVENTS).read_bytes()[:-100])
    command = [sys.executable, "-m", "pipelines.ingest"]
    environment = {"PYTHONPATH": str(CHECKOUT), "SLATE_HOME": str(workspace / "home"), "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert result.returncode == 1
    assert result.stderr.startswith(f"ingest: SourceError: {EVENTS} cannot be read to its end")
    assert "Traceback" not in result.stderr
    assert {path: path.read_bytes() for path in RAW.rglob("*") if path.is_file()} == before
    assert [path.name for path in RAW.parent.iterdir()] == ["raw"]


def test_inspect_lists_what_is_wrong_with_file_row_and_advice(workspace: Path) -> None:
    change_events(
        lambda lines: [
            *lines,
            "000001;00001;gekauft;morgen;1,00",
            "000001;77777;gekauft;2024-04-01 12:00:00;1,00",
            "000001;1",
        ]
    )
    problems = {one["row"]: one for one in json.loads(run("inspect", "inbox", "--json"))["problems"]}
    assert set(problems) == {3002, 3003, 3004}
    assert problems[3002]["column"] == "zeitpunkt"
    assert "item_is_known" in problems[3003]["found"]
    assert "2 fields instead of 5" in problems[3004]["found"]
    assert all(one["file"] == EVENTS and one["next_step"] for one in problems.values())
    assert "row 3003" in run("inspect", "inbox")


def test_a_catalogue_whose_id_has_a_strange_name_is_told_by_the_ids_in_the_events(workspace: Path) -> None:
    goods = Path("inbox") / GOODS
    lines = goods.read_bytes().decode("latin-1").split("\n")
    goods.write_bytes("\n".join([lines[0].replace("Artikelnummer", "zzz"), *lines[1:]]).encode("latin-1"))
    printed = run("inspect", "inbox")
    assert "# items: artikelstamm.txt" in printed
    items = YAML_IN_PAGES.load(printed)["ingest"]["files"]["items"]
    assert (items["columns"]["item_id"], items["columns"]["title"]) == ("zzz", "Bezeichnung")
    assert "item_id: zzz # guessed by its values: look at it" in printed


def test_a_file_of_other_ids_is_no_catalogue(workspace: Path) -> None:
    (Path("inbox") / GOODS).write_text("zzz;yyy\n" + "".join(f"other-{n};name {n}\n" for n in range(40)))
    printed = run("inspect", "inbox")
    assert f"# not recognised: {GOODS}" in printed
    assert "items" not in YAML_IN_PAGES.load(printed)["ingest"]["files"]


def test_inspect_names_the_columns_that_nothing_reads(workspace: Path) -> None:
    change_events(lambda lines: [f"{lines[0]};kanal", *(f"{line};app" for line in lines[1:] if line)])
    assert "# interactions: nothing reads kanal; if one fits, name it under `columns`." in run("inspect", "inbox")


def test_of_thousands_of_columns_that_nothing_reads_the_first_are_named(workspace: Path) -> None:
    added = ";".join(f"x{number}" for number in range(40))
    change_events(lambda lines: [f"{lines[0]};{added}", *(line + 40 * ";app" for line in lines[1:] if line)])
    assert "nothing reads x0, x1, " in (printed := run("inspect", "inbox"))
    assert "x28, x29 and 10 more; if one fits" in printed


def test_inspect_writes_out_what_steers_a_terminal_in_names_and_goes_on_in_comments(workspace: Path) -> None:
    hostile = "\x1b[2J\x07\u202e"
    change_events(lambda lines: [f"{lines[0]};{hostile}", *(f"{line};app" for line in lines[1:] if line)])
    (Path("inbox") / f"{hostile}\ningest: stolen.csv").write_text("one;two\n1;2\n")
    (Path("inbox") / f"{hostile}.csv").write_bytes(b"one;two\n\xff\x00;2\n")
    printed = run("inspect", "inbox")
    assert printed == printable(printed)
    assert printed.count(r"\x1b[2J\x07\u202e") >= 3
    assert YAML_IN_PAGES.load(printed)["ingest"]["source"] == "files"


def test_inspect_tells_of_a_file_that_was_cut_short_once(workspace: Path) -> None:
    for part in (2, 3):
        whole = (Path("inbox") / EVENTS).read_bytes()
        (Path("inbox") / f"{part}-{EVENTS}").write_bytes(whole if part == 2 else whole[: len(whole) // 2])
    result = CliRunner().invoke(command_line(), ["inspect", "inbox"], catch_exceptions=False)
    assert result.exit_code == 1
    printed = result.stdout
    assert "Nothing can be built before this is mended:" in printed
    assert printed.count("cut short or damaged") == 1


def test_quarantine_shows_rows_of_every_reason(workspace: Path, settings: Settings) -> None:

    def spoil(lines: list[str]) -> list[str]:
        unknown = [line.replace("angesehen", "???") for line in lines[1:21]]
        return [lines[0], *unknown, *lines[21:50], lines[50].replace(";0", ";9", 1), *lines[51:]]

    change_events(spoil)
    ingest.run(settings)
    validate.run(settings, NOW)
    sample = json.loads(run("quarantine", "--rows", "1", "--json"))["tables"]["interactions"]["sample"]
    reasons = pl.read_parquet(QUARANTINE / "interactions.parquet")["reason"].unique().to_list()
    assert len(reasons) > 1
    assert sorted(row["reason"] for row in sample) == sorted(reasons)


def test_inspect_of_what_is_no_export_says_what_it_found_and_exits_1(workspace: Path) -> None:
    (Path("inbox") / EVENTS).unlink()
    result = CliRunner().invoke(command_line(), ["inspect", f"inbox/{GOODS}"], catch_exceptions=False)
    assert result.exit_code == 1
    assert "No file was recognised as interactions" in result.stdout
    with pytest.raises(SourceError, match="holds no data file"):
        CliRunner().invoke(command_line(), ["inspect", "nowhere"], catch_exceptions=False)


def test_quarantine_without_a_validation_or_of_an_unknown_rule_says_what_to_do(
    workspace: Path, settings: Settings
) -> None:
    with pytest.raises(WorkspaceError, match="Nothing was validated here yet"):
        CliRunner().invoke(command_line(), ["quarantine"], catch_exceptions=False)
    ingest.run(settings)
    validate.run(settings, NOW)
    with pytest.raises(WorkspaceError, match="No rule of the last validation is called no_such") as caught:
        CliRunner().invoke(command_line(), ["quarantine", "--rule", "no_such"], catch_exceptions=False)
    assert "value_in_range" in caught.value.next_step
