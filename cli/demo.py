"""`slate demo`: from nothing to slates on real data, and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from contracts.errors import SlateworkError, WorkspaceError
from contracts.home import Home, find_home
from contracts.printable import printable_line
from pipelines.paths import BUNDLE

LONG_HISTORY = 20  # events: what makes somebody worth showing
READY_WITHIN_SECONDS = 60  # the API loads a bundle and answers the golden queries; two busy cores need up to ten
STAGES = (
    "ingest",
    "validate",
    "features",
    "candidates@test",
    "candidates@all",
    "index@test",
    "index@all",
    "ranking",
    "evaluate",
    "release",
    "publish",
)


class StageFailed(SlateworkError):
    """A stage of the graph failed; its own message stands above."""


def add_to(app: typer.Typer) -> None:
    """Register the command of this module."""
    app.command()(demo)


def demo(
    app: Annotated[str, typer.Option("--app", help="The application, by its preset; else the checkout's own.")] = "",
) -> None:
    """Build, register, promote, publish and serve a release, and print slates for three kinds of people."""
    from cli.application import enter
    from cli.checkout import setup
    from feature_store.online.connection import connect
    from feature_store.server.embedded_redis import online_store

    if app:
        enter(app, "demo")
    home = find_home()
    setup()
    signal.signal(signal.SIGTERM, _leave)  # so that what was started is stopped, as after Ctrl-C
    with online_store(home) as url:
        os.environ["REDIS_URL"] = url
        connect(url).close()  # a store that is away is told now, not after the whole build
        with _registry_opened_meanwhile(home):
            _reproduce()
        _promote(home)
        somebody = _find_somebody()
        with _api(home) as address:
            _show_slates(address, somebody)
    _show_costs()
    _show_quality()
    _show_next(somebody.user_id)


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


@contextmanager
def _registry_opened_meanwhile(home: Home) -> Iterator[None]:
    """While the stages of a first build run, MLflow is imported and its database made, which take seconds of one core.

    Raises at the end what went wrong with it. Where a release was built before, MLflow may not be needed at all.
    """
    if BUNDLE.exists():
        yield
        return
    with ThreadPoolExecutor(1) as beside:
        opened = beside.submit(_open_registry, home)
        yield
        opened.result()


def _open_registry(home: Home) -> None:
    from cli.parameters import load_settings
    from release.registry.registry import Registry

    Registry(home, load_settings().app).versions()


def _reproduce() -> None:
    if _ended_with_all_of_its_own([sys.executable, "-m", "dvc", "repro"]):
        raise StageFailed("`dvc repro` stopped; the reason stands above.", "Mend it, and run `make demo` again.")


def _ended_with_all_of_its_own(command: Sequence[str]) -> int:
    """Run a command to its end; its exit status. If this process is stopped, so is what the command had started."""
    with subprocess.Popen(command, process_group=0) as process:
        try:
            return process.wait()
        except BaseException:  # Ctrl-C does not reach a group of its own
            os.killpg(process.pid, signal.SIGTERM)
            raise


def _promote(home: Home) -> None:
    """Register the release and put it into Production, unless it is what production serves already."""
    from contracts.settings.settings import load_settings
    from feature_store.online.connection import connect
    from feature_store.online.pointer import read_pointer

    settings = load_settings()
    built = json.loads((BUNDLE / "manifest.json").read_bytes())
    with connect(os.environ["REDIS_URL"]) as client:
        pointer = read_pointer(client, settings.app)
    if pointer and (pointer.release_id, pointer.generation_id) == (built["release_id"], built["generation_id"]):
        print(f"release {pointer.release_id} is in production already")
        return
    from cli.releases.releases import promote_built

    promote_built(home, settings)


@contextmanager
def _api(home: Home) -> Iterator[str]:
    """A running API on a free port; stopped at the end. Yields its address."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    log = home.services / "demo-api.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "serve", "--port", str(port)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_ready(address, server, log)
        yield address
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    import urllib.request

    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2):  # noqa: S310 -- our own loopback address
                return
        except OSError:
            time.sleep(0.05)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise WorkspaceError(f"The API did not become ready. Its last words:\n{last}", f"Read {log}, and try again.")


def _post(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    import urllib.request

    request = urllib.request.Request(  # noqa: S310 -- our own loopback address
        address + path, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- as above
        reply: dict[str, Any] = json.load(answer)
        return reply


@dataclass(frozen=True)
class _Somebody:
    """Who is asked about: a person with a history, and the two commonest categories of the catalogue."""

    user_id: str
    categories: list[str]


def _find_somebody() -> _Somebody:
    """The person in the middle of those with a history worth the name; the one with the longest where there is none."""
    import polars as pl

    from contracts.positive_events import positive_events
    from contracts.tables import CanonicalTables
    from pipelines.paths import VALID

    tables = CanonicalTables.load(VALID, impressions=False)
    events = positive_events(tables.interactions)
    lengths = events.group_by("user_id").len().sort("len", "user_id")
    people = lengths.filter(pl.col("len") >= LONG_HISTORY)["user_id"].to_list() or lengths["user_id"].tail(1).to_list()
    categories = tables.items.select(pl.col("categories").explode().drop_nulls()).to_series()
    commonest = categories.value_counts(name="n").sort("n", "categories", descending=[True, False])
    return _Somebody(people[len(people) // 2], commonest["categories"].head(2).to_list())


def _show_slates(address: str, somebody: _Somebody) -> None:
    """Ask as three kinds of people would, over HTTP."""
    person = _post(address, "/v1/recommend", {"user_id": somebody.user_id, "k": 5, "explain": True})
    _print_slate(f"Person {somebody.user_id}, who has a history", person)
    categories = somebody.categories
    newcomer = {"user_id": "newcomer", "preferences": {"categories": categories}, "k": 5, "explain": True}
    likes = f" who likes {' and '.join(categories)}" if categories else ", of whom nothing is known"
    _print_slate(f"A new person{likes}", _post(address, "/v1/recommend", newcomer))
    visit = f"demo-{time.time_ns()}"
    clicked = [item["item_id"] for item in person["items"][:2]]
    events = [{"event_type": "click", "session_id": visit, "item_id": item_id} for item_id in clicked]
    _post(address, "/v1/events", {"events": events})
    visitor = _post(address, "/v1/recommend", {"session_id": visit, "k": 5, "explain": True})
    titles = [item["title"] for item in person["items"][:2]]
    _print_slate(printable_line(f"An anonymous visitor, after clicks on {' and '.join(titles)}"), visitor)


def _print_slate(who: str, slate: dict[str, Any]) -> None:
    milliseconds = slate["timings_ms"]["total"]
    print(f"\n{who}  [tier {slate['tier']}, release {slate['release_id']}, {milliseconds:.1f} ms]")
    for item in slate["items"]:
        why = "; ".join(item["reasons"][:2])
        row = f"  {item['position']:>2}  {item['title'][:34]:36}{item['score']:>6.2f}  {item['source']:19}{why}"
        print(printable_line(row))


def _show_costs() -> None:
    """The last run of every stage, in the graph's order; one that DVC answered from its cache never ran here."""
    from pipelines.stage_run import run_folder

    print(f"\n{'stage':18}{'seconds':>9}{'peak MiB':>10}")
    for stage in STAGES:
        path = run_folder() / f"{stage}.json"
        if path.exists():
            record = json.loads(path.read_bytes())
            print(f"{stage:18}{record['seconds']:>9.1f}{record['peak_memory_mib']:>10}")
        else:
            print(f"{stage:18}{'from the cache':>19}")


def _show_quality() -> None:
    measured = json.loads(Path("reports/evaluation/metrics.json").read_bytes())
    headline, gains = measured["headline"], measured["ndcg_at_10_gain_over"]
    print(f"\nNDCG@10 for the {headline['people']} people with a history, in the test window (95% intervals):")
    print(f"  {'slates':18}{headline['ndcg_at_10']:.3f}  [{headline['low']:.3f}, {headline['high']:.3f}]")
    for rival, gain in gains.items():
        ahead = f"slates are ahead by {gain['mean']:+.3f}  [{gain['low']:+.3f}, {gain['high']:+.3f}], paired"
        print(f"  {rival:18}{headline[rival]:.3f}  {ahead}")


def _show_next(user_id: str) -> None:
    app = os.environ.get("SLATE_APP")
    up, ask = (f"make up APP={app}", f"slate --app {app} recommend") if app else ("make up", "slate recommend")
    print(
        "\nGo on with (after `source .venv/bin/activate`):\n"
        f"  {up:52}Airflow, MLflow and the API, left running\n"
        f"  {ask + f' --user {user_id}':52}a slate on the command line\n"
        f"  {'dvc metrics show':52}the figures behind the table, in {Path.cwd()}"
    )
