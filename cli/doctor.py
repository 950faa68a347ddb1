"""`slate doctor`: what is installed, what is reachable, what is missing, and what to do about it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from cli.output import AsJson, print_json
from contracts.counted import counted
from contracts.errors import SlateworkError, refused_by_system

if TYPE_CHECKING:
    from recommender.generators.deep.environments import GuestEnvironment

State = Literal["ok", "missing", "optional"]


@dataclass(frozen=True)
class CheckResult:
    """One thing looked at. next_step: what to type, empty when all is well."""

    name: str
    state: State
    found: str
    next_step: str = ""


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(doctor)


def doctor(*, as_json: AsJson = False) -> None:
    """Check the installation and say what is missing; exits 1 when something that is needed is missing."""
    from contracts.progress import working

    results = []
    with working("slate doctor") as begin:
        for check in CHECKS:
            begin(check.__name__.strip("_").replace("_", " "))
            results.append(check())
    if as_json:
        print_json([asdict(result) for result in results], indented=True)
    else:
        for result in results:
            print(f"{result.state:9}{result.name:22}{result.found}")
            if result.next_step:
                print(f"{'':31}{result.next_step}")
    if any(result.state == "missing" for result in results):
        raise typer.Exit(1)


def _python() -> CheckResult:
    version = platform.python_version()
    if version.startswith("3.11."):
        return CheckResult("Python", "ok", version)
    return CheckResult("Python", "missing", version, "Slatework needs 3.11: `make env PYTHON=python3.11`.")


def _packages() -> CheckResult:
    wanted = (
        "apache-airflow",
        "mlflow",
        "dvc",
        "great-expectations",
        "lightgbm",
        "faiss-cpu",
        "redis",
        "ibis-framework",
    )
    try:
        versions = [f"{name} {importlib.metadata.version(name)}" for name in wanted]
    except importlib.metadata.PackageNotFoundError as error:
        return CheckResult("packages", "missing", f"{error.name} is not installed", "Run `make env`.")
    return CheckResult("packages", "ok", ", ".join(versions))


def _checkout() -> CheckResult:
    from contracts.home import check_quotable, main_checkout

    def look() -> str:
        check_quotable(Path.cwd())
        return str(main_checkout(Path.cwd()))

    return _attempt("git checkout", look)


def _home() -> CheckResult:
    from contracts.home import check_plain, find_home

    def look() -> str:
        home = find_home()
        check_plain(home)
        root = home.root
        existing = next(folder for folder in (root, *root.parents) if folder.exists())
        free = shutil.disk_usage(existing).free / 2**30
        return f"{root} ({free:.0f} GiB free)"

    return _attempt("SLATE_HOME", look)


def _params() -> CheckResult:
    from contracts.settings.settings import load_settings

    return _attempt("params.yaml", lambda: f"application {load_settings().app}")


def _source() -> CheckResult:
    """DVC watches these paths, and says no more than [Errno 2] where one is not there."""
    from contracts.settings.settings import load_settings

    name = "source"
    try:
        ingest = load_settings().ingest
    except (SlateworkError, OSError):
        return CheckResult(name, "optional", "cannot be looked for, see params.yaml")
    for parameter, path in (("ingest.path", ingest.path), ("ingest.traffic", ingest.traffic)):
        if "://" not in path and not Path(path).exists():
            return CheckResult(
                name,
                "missing",
                f"{parameter}: {path} is not there",
                f"Put the data there, or mend {parameter} in params.yaml.",
            )
    return CheckResult(name, "ok", f"{ingest.source}, {ingest.path}")


def _baseline() -> CheckResult:
    """What new data is held against: without a baseline a day of half the rows passes."""
    from contracts.settings.settings import load_settings
    from sources.validation.baseline import read_baseline

    name = "data baseline"
    try:
        path = load_settings().validate_.baseline
        rows = read_baseline(path).rows
    except (SlateworkError, OSError) as error:
        return CheckResult(name, "missing", *_problem_and_next_step(error))
    if not rows:
        found = f"{path} holds none: volumes and columns are held against nothing"
        return CheckResult(name, "optional", found, "After a validation that you trust: `slate baseline accept`.")
    return CheckResult(name, "ok", f"{path}: " + ", ".join(f"{count:,} {table}" for table, count in rows.items()))


def _built() -> CheckResult:
    from contracts.settings.settings import load_settings
    from pipelines.paths import BUNDLE
    from release.bundle.manifest import load_manifest

    name = "built"
    if not (BUNDLE / "manifest.json").is_file():
        return CheckResult(name, "optional", f"no release in {BUNDLE}", "Build one: `dvc repro`.")
    try:
        manifest, app = load_manifest(BUNDLE), load_settings().app
    except (SlateworkError, OSError) as error:
        return CheckResult(name, "missing", *_problem_and_next_step(error))
    of_another = "" if manifest.app == app else f" of {manifest.app}; params.yaml says {app}"
    next_step = "Build it again: `dvc repro`." if of_another else ""
    state: State = "optional" if of_another else "ok"
    return CheckResult(name, state, f"release {manifest.release_id} in {BUNDLE}{of_another}", next_step)


def _registered() -> CheckResult:
    from contracts.home import find_home
    from contracts.settings.settings import load_settings
    from release.registry.registry import Registry

    name = "registered"
    try:
        app = load_settings().app
        versions = Registry(find_home(), app).versions()
    except (SlateworkError, OSError):
        return CheckResult(name, "optional", "cannot be asked, see MLflow")
    if not versions:
        next_step = "After `dvc repro`: `slate register`."
        return CheckResult(name, "optional", f"no version of {app}", next_step)
    last = versions[-1]
    return CheckResult(
        name, "ok", f"{counted(len(versions), 'version')} of {app}, the last is {last.number}: {last.release_id}"
    )


def _in_production() -> CheckResult:
    """What the journal says; `published values` counts what the store has of it."""
    from contracts.home import find_home
    from contracts.settings.settings import load_settings
    from release.journal.journal import Journal

    name = "in production"
    try:
        app = load_settings().app
        entry = Journal(find_home(), app).view().production
    except (SlateworkError, OSError) as error:
        return CheckResult(name, "missing", *_problem_and_next_step(error))
    if entry is None:
        return CheckResult(name, "optional", f"nothing of {app}", "After `slate register`: `slate promote VERSION`.")
    found = f"release {entry.release_id} (version {entry.version}), since {entry.ts:%Y-%m-%d %H:%M} UTC"
    return CheckResult(name, "ok", found)


def _redis() -> CheckResult:
    from contracts.home import find_home
    from feature_store.online.connection import connect, named_url
    from feature_store.online.nodes import nodes_of
    from feature_store.server.embedded_redis import running, server_binary

    def look() -> str:
        url = named_url() or running(find_home())
        if not url:
            return f"embedded, not running now ({server_binary()})"
        with connect(url) as client:
            nodes = nodes_of(client)
            kind = f"a cluster of {len(nodes)} nodes, " if len(nodes) > 1 else ""
            return f"reachable, {kind}{sum(int(node.dbsize()) for node in nodes)} keys"

    return _attempt("Redis", look)


def _redis_settings() -> CheckResult:
    from contracts.home import find_home
    from feature_store.online.connection import connect, named_url
    from feature_store.online.nodes import nodes_of
    from feature_store.publishing.memory_forecast import settings_advice
    from feature_store.server.embedded_redis import running

    name = "Redis settings"
    try:
        url = named_url() or running(find_home())
        if not url:
            return CheckResult(name, "ok", "the embedded server's own")
        with connect(url) as client:
            advice = [settings_advice(node) for node in nodes_of(client)]
        # Of a cluster the first node that needs something: nodes are set up alike.
        settings, next_step = next((one for one in advice if one[1]), advice[0])
    except (SlateworkError, OSError):
        return CheckResult(name, "optional", "cannot be asked, see Redis")
    return CheckResult(name, "optional" if next_step else "ok", settings, next_step)


def _redis_on_disk() -> CheckResult:
    """Whether an event that was acknowledged outlives Redis."""
    from contracts.home import find_home
    from feature_store.online.connection import connect, named_url
    from feature_store.online.nodes import nodes_of
    from feature_store.online.persistence import read_persistence
    from feature_store.server.embedded_redis import running

    name = "Redis on disk"
    try:
        url = named_url() or running(find_home())
        if not url:
            return CheckResult(name, "ok", "the embedded server has an append-only file")
        with connect(url) as client:
            nodes = [read_persistence(node) for node in nodes_of(client)]
    except (SlateworkError, OSError):
        return CheckResult(name, "optional", "cannot be asked, see Redis")
    if not all(node.can_write for node in nodes):
        found = "it cannot write to its append-only file, and so refuses writes"
        return CheckResult(name, "missing", found, "Free disk space where it keeps its data; it goes on by itself.")
    if not all(node.appends for node in nodes):
        found = "no append-only file: where it is killed, events that it took since its last save are lost"
        own = "`redis-cli config set appendonly yes`, and the same in its configuration file."
        return CheckResult(name, "optional", found, own if named_url() else "Start it again: `slate down; slate up`.")
    return CheckResult(name, "ok", "an append-only file")


def _published_values() -> CheckResult:
    """Whether Redis holds what it says of the generation in production."""
    from contracts.home import find_home
    from contracts.settings.settings import load_settings
    from feature_store.online.connection import connect, named_url
    from feature_store.online.pointer import read_pointer
    from feature_store.publishing.completeness import missing_values
    from feature_store.server.embedded_redis import running

    name = "published values"
    try:
        url, app = named_url() or running(find_home()), load_settings().app
        if not url:
            return CheckResult(name, "optional", "cannot be counted while Redis does not run")
        with connect(url) as client:
            pointer = read_pointer(client, app)
            if pointer is None:
                return CheckResult(name, "optional", f"nothing of {app} is in production")
            problem = missing_values(client, app, pointer.generation_id, pointer.release_id)
    except (SlateworkError, OSError):
        return CheckResult(name, "optional", "cannot be counted, see Redis")
    if problem is not None:
        return CheckResult(name, "missing", problem.problem, problem.next_step)
    return CheckResult(name, "ok", f"generation {pointer.generation_id} is wholly there, as its receipt says")


def _left_in_memory() -> CheckResult:
    from contracts.home import find_home
    from serving.http.workers.worker_metrics import WorkerMetrics, left_over

    name = "left by servers"
    folders = left_over(WorkerMetrics.of(find_home(), "").folder)
    if not folders:
        return CheckResult(name, "ok", "nothing")
    size = sum(file.stat().st_size for folder in folders for file in folder.glob("*"))
    found = f"{size / 2**20:.1f} MiB of numbers of servers that were killed: {', '.join(map(str, folders))}"
    return CheckResult(name, "optional", found, "The next `slate serve --workers` removes them, or you may.")


def _mlflow() -> CheckResult:
    from contracts.home import find_home
    from release.registry.connection import RegistryConnection

    def look() -> str:
        connection = RegistryConnection(find_home())
        connection.ping()
        return f"reachable at {connection.address}"

    return _attempt("MLflow", look)


def _spark() -> CheckResult:
    from contracts.errors import EngineMissing
    from contracts.spark_session import check_spark, java

    try:
        check_spark()
    except EngineMissing as error:
        return CheckResult("Spark", "optional", error.problem, f"{error.next_step} Nothing else needs it.")
    return CheckResult("Spark", "ok", f"pyspark {importlib.metadata.version('pyspark')}, {java() or 'SPARK_REMOTE'}")


def _sentences() -> CheckResult:
    from contracts.errors import EngineMissing
    from recommender.sentence_vectors import check_sentences

    try:
        version = check_sentences()
    except EngineMissing as error:
        return CheckResult("Sentences", "optional", error.problem, f"{error.next_step} Nothing else needs it.")
    return CheckResult("Sentences", "ok", f"wordllama {version}")


def _deep_by_torch() -> CheckResult:
    from recommender.generators.deep.environments import TORCH

    return _guest_environment(TORCH)


def _deep_by_tfrs() -> CheckResult:
    from recommender.generators.deep.environments import TFRS

    return _guest_environment(TFRS)


def _guest_environment(environment: GuestEnvironment) -> CheckResult:
    """Where deep generators are trained: needed where params.yaml has one of them."""
    from contracts.settings.settings import load_settings
    from recommender.generators.sets import guests_wanted

    name = f"deep models, {environment.name}"
    try:
        guests = guests_wanted(load_settings().candidates)
    except (SlateworkError, OSError):
        guests = []  # what is wrong with params.yaml, its own line says
    wanted_by = [guest.parameter for guest in guests if guest.environment.name == environment.name]
    found = f"the environment {environment.state}" + (f"; {' and '.join(wanted_by)} wants it" if wanted_by else "")
    if environment.is_made:
        return CheckResult(name, "ok", found)
    if wanted_by:
        return CheckResult(name, "missing", found, f"Type `{environment.command}`.")
    return CheckResult(name, "optional", found, f"`{environment.command}` makes it. Nothing in params.yaml needs it.")


def _attempt(name: str, look: Callable[[], str]) -> CheckResult:
    try:
        return CheckResult(name, "ok", look())
    except (SlateworkError, OSError) as error:
        return CheckResult(name, "missing", *_problem_and_next_step(error))


def _problem_and_next_step(error: SlateworkError | OSError) -> tuple[str, str]:
    """What is wrong, and what to do."""
    ours = refused_by_system(error) if isinstance(error, OSError) else error
    return ours.problem, ours.next_step


CHECKS = (
    _python,
    _packages,
    _checkout,
    _home,
    _params,
    _source,
    _baseline,
    _built,
    _redis,
    _redis_settings,
    _redis_on_disk,
    _published_values,
    _left_in_memory,
    _mlflow,
    _registered,
    _in_production,
    _spark,
    _sentences,
    _deep_by_torch,
    _deep_by_tfrs,
)
