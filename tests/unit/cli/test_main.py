"""The command line: whatever goes wrong is one message and an exit code, never a traceback."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import cli.main
from cli.commands import HIDDEN, PANELS, named_command
from cli.doctor import _baseline, _built, _guest_environment, _source
from contracts.fingerprint import fingerprint_file
from contracts.home import Home
from feature_store.server import embedded_redis
from pipelines.paths import BUNDLE
from recommender.generators.deep.environments import STAMP, GuestEnvironment
from tests.unit.release.sample_manifest import MANIFEST_OF_NOTHING

CHECKOUT = Path(__file__).resolve().parents[3]
DISK_FULL = OSError(errno.ENOSPC, "No space left on device", "journal.db")


def failing_with(error: BaseException) -> Callable[[], None]:
    def app() -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DISK_FULL, "No space left on device (journal.db).\n  Free disk space"),
        (shutil.Error([("a", "b", str(DISK_FULL))]), "slate: WorkspaceError: [Errno 28] No space left on device: 'jou"),
        (shutil.Error("Destination path 'b' already exists"), "Destination path 'b' already exists.\n"),
        (FileExistsError(errno.EEXIST, "File exists", "/home/x"), "File exists (/home/x).\n  Mend what is named"),
    ],
)
def test_what_the_system_refuses_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, said: str
) -> None:
    monkeypatch.setattr(cli.main, "command_line", lambda _: failing_with(error))
    with pytest.raises(SystemExit) as end:
        cli.main.main()
    assert end.value.code == 1
    assert said in capsys.readouterr().err


def test_doctor_goes_on_looking_where_the_home_is_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("SLATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(sys, "argv", ["slate", "doctor"])
    with pytest.raises(SystemExit) as end:
        cli.main.main()
    assert end.value.code == 1
    assert "Not a directory" in (said := capsys.readouterr().out)
    assert "Spark" in said


@pytest.mark.parametrize("missing", ["path", "traffic"])
def test_doctor_names_the_parameter_whose_data_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = (CHECKOUT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(said)
    for folder in ("inbox", "traffic"):
        (tmp_path / folder).mkdir()
    assert _source().state == "ok"
    (tmp_path / {"path": "inbox", "traffic": "traffic"}[missing]).rmdir()
    found = _source()
    assert (found.state, found.found.split(":")[0]) == ("missing", f"ingest.{missing}")
    assert f"ingest.{missing} in params.yaml" in found.next_step


def test_doctor_says_what_is_built_and_what_new_data_is_held_against(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((CHECKOUT / "params.yaml").read_text())
    assert (_built().state, _built().next_step) == ("optional", "Build one: `dvc repro`.")
    assert (_baseline().state, "baselines/movies.json" in _baseline().found) == ("missing", True)
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines/movies.json").write_text('{"tables": {}}')
    assert (_baseline().state, _baseline().next_step.split("`")[1]) == ("optional", "slate baseline accept")
    (tmp_path / "baselines/movies.json").write_text('{"tables": {"interactions": {"rows": 1200}}}')
    assert (_baseline().state, _baseline().found) == ("ok", "baselines/movies.json: 1,200 interactions")
    MANIFEST_OF_NOTHING.save(tmp_path / BUNDLE)
    assert f"release {MANIFEST_OF_NOTHING.release_id} in build/release" in _built().found
    replace(MANIFEST_OF_NOTHING, app="shop").save(tmp_path / BUNDLE)
    assert _built().found.endswith("of shop; params.yaml says movies")


def test_doctor_says_which_guests_are_made_and_which_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = (CHECKOUT / "params.yaml").read_text()
    torch = GuestEnvironment("torch", "make deep", tmp_path)
    (tmp_path / "params.yaml").write_text(params)
    found = _guest_environment(torch)
    assert (found.state, found.found) == ("optional", "the environment is not there")
    assert "`make deep`" in found.next_step
    (tmp_path / "params.yaml").write_text(params.replace("two_tower: null", "two_tower: {}"))
    found = _guest_environment(torch)
    assert (found.state, found.next_step) == ("missing", "Type `make deep`.")
    assert found.found == "the environment is not there; candidates.two_tower wants it"
    assert _guest_environment(GuestEnvironment("tfrs", "make tfrs", tmp_path)).state == "optional"
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / STAMP).write_text("of before")
    assert _guest_environment(torch).found.startswith("the environment is of other versions; ")
    (tmp_path / "torch" / STAMP).write_text(fingerprint_file(torch.requirements))
    found = _guest_environment(torch)
    assert (found.state, found.found) == ("ok", "the environment is made; candidates.two_tower wants it")


def test_starting_waits_for_no_library_but_the_one_that_parses_the_command_line() -> None:
    # Each takes 0.1 to 3 s to import: only the command that needs one waits for it.
    slow = "{'pydantic', 'ruamel', 'numpy', 'polars', 'pandas', 'redis', 'sqlalchemy', 'mlflow', 'dvc', 'supervisor'}"
    program = f"import sys, cli.main; print(sorted({slow} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_ctrl_c_says_how_to_go_on() -> None:
    program = (
        "import cli.main, cli.checkout\n"
        "def stopped(): raise KeyboardInterrupt\n"
        "cli.checkout.find_home = stopped\n"
        "import sys; sys.argv = ['slate', 'setup']\n"
        "cli.main.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "interrupted. Run the same command again to go on." in done.stderr


def test_down_stops_the_redis_that_a_killed_command_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    monkeypatch.setenv("SLATE_HOME", str(tmp_path))
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setattr(sys, "argv", ["slate", "down"])
    embedded_redis.start(home)
    try:
        with embedded_redis.online_store(home), pytest.raises(SystemExit):
            cli.main.main()
        assert "nothing was running" in capsys.readouterr().out  # what another command uses is left alone
        with pytest.raises(SystemExit) as end:
            cli.main.main()
        assert end.value.code == 0
        assert not embedded_redis.is_alive(home)
    finally:
        embedded_redis.stop(home)


def test_help_lists_every_command_once_together_with_those_of_the_same_purpose() -> None:
    commands = typer.main.get_command(cli.main.command_line()).commands  # type: ignore[attr-defined]  # it is a group
    shown = {name: command.rich_help_panel for name, command in commands.items() if not command.hidden}
    listed = {name: panel for panel, each in PANELS.items() for names in each.values() for name in names}
    assert shown == listed
    text = CliRunner().invoke(cli.main.command_line(), ["--help"]).output
    assert [panel for panel in PANELS if panel not in text] == []


@pytest.mark.parametrize(
    ("command", "does", "other"),
    [
        (["collect"], "Remove old feature values from the online store", "slate traffic collect"),
        (["traffic", "collect"], "Copy served impressions and events from Redis", "slate collect"),
    ],
)
def test_the_two_commands_that_collect_say_what_they_do_and_name_each_other(
    command: list[str], does: str, other: str
) -> None:
    text = " ".join(CliRunner().invoke(cli.main.command_line(), [*command, "--help"]).output.split())
    assert does in text
    assert other in text


def test_a_command_loads_no_other_command() -> None:
    program = "import sys, cli.main; cli.main.command_line(['rollback', '--help']); print('cli.doctor' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_command_is_found_under_its_name() -> None:
    """As the whole command line has it, so that the table names no command that its module does not register."""
    whole = names_of(cli.main.command_line())
    named = {name for each in (*PANELS.values(), HIDDEN) for names in each.values() for name in names}
    assert named == whole
    assert all(name in names_of(cli.main.command_line([name])) for name in named)


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["rollback", "--reason", "x"], "rollback"),
        (["--app", "serve", "rollback"], "rollback"),
        (["--app=serve", "--debug", "rollback"], "rollback"),
        (["--app"], None),
        (["--unknown", "serve"], None),
        ([], None),
    ],
)
def test_the_command_is_the_first_word_that_is_no_option(words: list[str], command: str | None) -> None:
    assert named_command(words) == command


def names_of(app: typer.Typer) -> set[str]:
    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
