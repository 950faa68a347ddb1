"""What dvc.yaml and the code version name is what the stages import: no file less, and no file more."""

import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from contracts.errors import WorkspaceError
from contracts.settings.group import Group
from contracts.stage_code import GRAPH, code_of_stage
from pipelines import dependencies, stage_run
from pipelines.candidates import check_own_code_is_named
from pipelines.dependencies import NO_CODE, code_of_stages, import_closure, own_code_of
from release.bundle.code_version import code_fingerprint

TOP = Path(__file__).resolve().parents[3]
STAGES = YAML(typ="safe", pure=True).load((TOP / GRAPH).read_text())["stages"]
IMPORTED = code_of_stages(TOP, {"stages": STAGES})
HINT = "Run `make dependencies`."


def write(root: Path, **modules: str) -> Path:
    """A small project: the text of each module, by its dotted name with __ for dots; packages are made on the way."""
    for name, text in modules.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in [path.parent, *path.parent.parents][: len(path.relative_to(root).parts) - 1]:
            (folder / "__init__.py").touch()
        path.write_text(text)
    return root


@pytest.mark.parametrize("stage", IMPORTED)
def test_a_stage_depends_on_the_files_it_imports_and_on_no_others(stage: str) -> None:
    named = set(code_of_stage((TOP / GRAPH).read_text(), stage))
    imported = set(IMPORTED[stage])
    assert named - imported == set(), f"named under {stage}, though nothing there imports it. {HINT}"
    assert imported - named == set(), f"imported by {stage}, and not named there. {HINT}"


def test_the_code_of_a_release_is_what_its_stages_and_the_request_path_import() -> None:
    named = set(code_of_stage((TOP / GRAPH).read_text(), "release"))
    stages = {file for stage in STAGES if stage not in NO_CODE for file in import_closure(TOP, f"pipelines.{stage}")}
    assert named == stages, HINT
    assert import_closure(TOP, "release.answering.request_path") <= named


@pytest.mark.parametrize(
    "file",
    [
        "contracts/settings/serving.py",
        "contracts/settings/promotion.py",
        "pipelines/runs/workspace.py",
        "contracts/templates/style.css",
        "release/canary/page.py",
        "release/promotion/promotion.py",
        "release/journal/journal.py",
        "serving/http/api.py",
        "cli/main.py",
    ],
)
def test_what_only_carries_a_release_around_is_no_part_of_its_identity(file: str) -> None:
    assert (TOP / file).is_file()
    assert file not in IMPORTED["release"]


@pytest.mark.parametrize("stage", [stage for stage in IMPORTED if stage != "release"])
def test_no_stage_but_release_depends_on_the_code_of_another(stage: str) -> None:
    assert [f"pipelines/{name}.py" for name in STAGES if f"pipelines/{name}.py" in IMPORTED[stage]] == [
        f"pipelines/{stage}.py"
    ]


LOADED_BY_EACH_STAGE = """
import sys
import pipelines.stage_run as run
from contracts.stage_code import ROOMS
for stage in sys.argv[1:]:
    before = set(sys.modules)
    __import__(f"pipelines.{stage}")
    print(stage, *run._loaded_code())
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ROOMS:
            del sys.modules[name]
"""


def test_python_itself_imports_no_file_that_is_not_named() -> None:
    command = [sys.executable, "-c", LOADED_BY_EACH_STAGE, *IMPORTED]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
    loaded = {stage: set(files) for stage, *files in map(str.split, done.stdout.splitlines())}
    assert list(loaded) == list(IMPORTED)
    assert loaded["evaluate"] >= {"release/answering/request_path.py", "recommender/slates/diversity.py"}
    assert [
        (stage, files - set(IMPORTED[stage])) for stage, files in loaded.items() if files - set(IMPORTED[stage])
    ] == []


def test_a_stage_says_after_its_run_what_it_imported_on_the_way(tmp_path: Path, monkeypatch) -> None:
    root = write(tmp_path, pipelines__one="", contracts__new="")
    (root / GRAPH).write_text("stages:\n  one:\n    deps:\n      - pipelines/__init__.py\n      - pipelines/one.py\n")
    (root / "params.yaml").write_text("{}\n")
    monkeypatch.chdir(root)
    loaded: set[str] = set()
    monkeypatch.setattr(stage_run, "_loaded_code", lambda: loaded)
    with pytest.raises(SystemExit, match=r"contracts/new\.py under `one`"):
        stage_run.run_stage("one", Group, lambda _: loaded.add("contracts/new.py"))


def test_imports_are_followed_into_functions_and_through_packages(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        pipelines__one="from contracts import first\n\ndef run():\n    from sources.deep.second import name\n",
        contracts__first="import numpy\n",
        contracts__other="",
        sources__deep__second="import contracts.third as third\nname = 1\n",
        contracts__third="",
    )
    (root / "sources" / "__init__.py").write_text("from contracts import fourth\n")
    write(root, contracts__fourth="")
    assert import_closure(root, "pipelines.one") == {
        "pipelines/__init__.py",
        "pipelines/one.py",
        "contracts/__init__.py",
        "contracts/first.py",
        "contracts/third.py",
        "contracts/fourth.py",
        "sources/__init__.py",
        "sources/deep/__init__.py",
        "sources/deep/second.py",
    }


def test_an_import_relative_to_its_module_is_refused_for_it_would_not_be_followed(tmp_path: Path) -> None:
    root = write(tmp_path, contracts__first="", pipelines__one="import ast\nfrom .two import name\n", pipelines__two="")
    with pytest.raises(WorkspaceError, match=r"one\.py:2 imports relative to itself: `from \.two import name`"):
        import_closure(root, "pipelines.one")


def test_an_import_for_type_checkers_alone_is_none(tmp_path: Path) -> None:
    checked = "if TYPE_CHECKING:\n    from contracts import first\nelse:\n    from contracts import second\n"
    root = write(tmp_path, pipelines__one=checked, contracts__first="", contracts__second="")
    assert "contracts/first.py" not in import_closure(root, "pipelines.one")
    assert "contracts/second.py" in import_closure(root, "pipelines.one")


def test_a_table_beside_a_module_comes_with_it_and_a_template_of_a_page_does_not(tmp_path: Path) -> None:
    root = write(tmp_path, pipelines__one="", sources__page="")
    for name in ("pipelines/words.txt", "pipelines/tables/words.csv", "pipelines/templates/page.html", "sources/x.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "pipelines" / "__pycache__").mkdir()
    (root / "pipelines" / "__pycache__" / "one.pyc").touch()
    closure = import_closure(root, "pipelines.one")
    assert closure == {
        "pipelines/__init__.py",
        "pipelines/one.py",
        "pipelines/words.txt",
        "pipelines/tables/words.csv",
    }


SMALL_GRAPH = """# What this is.
stages:
  one:
    cmd: python -m pipelines.one # as ever
    outs:
      - data/raw
    deps:
      - contracts
      - ${ingest.path}

  release:
    cmd: python -m pipelines.release
    deps:
      - data/raw # what came in
      - data/valid

# The end.
plots:
  - curve.png
"""


def test_the_command_writes_code_after_data_and_leaves_everything_else_as_it_is(tmp_path: Path) -> None:
    root = write(tmp_path, pipelines__one="", pipelines__release="")
    (root / GRAPH).write_text(SMALL_GRAPH)
    code = "      # Code: `make dependencies` writes the rest of this list.\n      - pipelines/__init__.py\n"
    one, release = "      - pipelines/one.py\n", "      - pipelines/release.py\n"
    expected = SMALL_GRAPH.replace(
        "      - contracts\n      - ${ingest.path}\n", "      - ${ingest.path}\n" + code + one
    )
    expected = expected.replace("      - data/valid\n", "      - data/valid\n" + code + one + release)
    with chdir(root):
        dependencies.main()
        assert GRAPH.read_text() == expected
        dependencies.main()
        assert GRAPH.read_text() == expected


def test_a_stage_that_imports_what_dvc_yaml_does_not_name_does_not_run(tmp_path: Path, monkeypatch) -> None:
    root = write(tmp_path, pipelines__one="", contracts__new="")
    (root / GRAPH).write_text("stages:\n  one:\n    deps:\n      - pipelines/__init__.py\n      - pipelines/one.py\n")
    monkeypatch.chdir(root)
    loaded = {"pipelines/__init__.py", "pipelines/one.py"}
    monkeypatch.setattr(stage_run, "_loaded_code", lambda: loaded)
    stage_run.check_code_is_named("one")
    stage_run.check_code_is_named("publish")
    loaded.add("contracts/new.py")
    with pytest.raises(WorkspaceError, match=r"name contracts/new\.py under `one`(.|\n)*make dependencies"):
        stage_run.check_code_is_named("one")


def test_what_a_process_has_imported_of_the_working_directory_is_known(monkeypatch) -> None:
    monkeypatch.chdir(TOP)
    assert {"pipelines/__init__.py", "pipelines/stage_run.py"} <= stage_run._loaded_code()
    assert not any(name.startswith((".venv", "tests")) for name in stage_run._loaded_code())


def test_every_file_that_is_named_is_there() -> None:
    assert len(code_fingerprint(TOP)) == 16


def test_classes_of_the_projects_own_are_named_with_their_package_and_refused_before(tmp_path: Path) -> None:
    write(tmp_path, shop_generators__trending="", shop_generators__deep__more="", contracts__words="")
    (tmp_path / "params.yaml").write_text('candidates:\n  own: ["shop_generators.trending:Trending"]\n')
    graph = "stages:\n  candidates:\n    cmd: x\n    deps:\n      - data/valid\n"
    (tmp_path / GRAPH).write_text(graph)
    with chdir(tmp_path):
        with pytest.raises(WorkspaceError, match=r"does not name shop_generators/__init__.py, .* under `candidates`"):
            check_own_code_is_named(["shop_generators.trending:Trending"])
        own = own_code_of(tmp_path, Path("params.yaml"))
        (tmp_path / GRAPH).write_text(graph + "".join(f"      - {name}\n" for name in own))
        check_own_code_is_named(["shop_generators.trending:Trending"])
    assert own == [
        "shop_generators/__init__.py",
        "shop_generators/deep/__init__.py",
        "shop_generators/deep/more.py",
        "shop_generators/trending.py",
    ]


def test_the_program_of_a_guest_is_code_of_what_runs_it(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        pipelines__fit='from recommender.guest import Guest\nGUEST = Guest(name="a", module="recommender.program")\n',
        recommender__guest="class Guest:\n    pass\n",
        recommender__program="import torch\nimport contracts.words\n",
        contracts__words="",
    )
    closure = import_closure(root, "pipelines.fit")
    assert {"recommender/program.py", "contracts/words.py"} <= closure
