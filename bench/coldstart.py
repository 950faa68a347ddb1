"""What are slates worth to a newcomer after 0, 1, 2, 3, 5 and 10 events, on films, in a shop and in a newspaper?

    python -m bench.coldstart [--apps movies shop articles] [--windows 2] [--plot FILE.svg]

For each application the models are fitted on what lies before each of the latest rolling windows that choose
(`slate judge`), and people who were never seen before are asked about. Each one is asked after their first n items as
a visitor in a session, by the request path, and all answers are judged on **the same** items: those that came after
the largest n. What was touched up to then is taken out of every slate, whether it was known of already or not; so a
longer history is no head start. So slates are longer when they are asked for, and diversity, whose budget is of a whole
slate, is off. Beside the slates stand what is popular and each generator alone.

`movies` needs the valid tables of this checkout (`dvc repro validate`); the others are simulated. Prints a table for
each application; where so few people have ten items that nothing could be told, the largest n is smaller.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from bench.report import print_figures, print_table
from contracts.clock import FixedClock
from contracts.features import History
from contracts.id_map import IdMap
from contracts.ids import ItemIdxArray, SessionId
from contracts.positive_events import positive_events
from contracts.settings.params_path import PARAMS
from contracts.settings.presets import load_preset
from contracts.settings.settings import Settings
from contracts.slates import RecommendRequest
from contracts.tables import CanonicalTables
from feature_store.readers.offline_reader import OfflineFeatureReader
from pipelines.paths import VALID
from pipelines.rolling.judgement import Windows
from pipelines.rolling.window_fit import fit_release, tables_until_end, window_data
from pipelines.runs.overrides import overridden_settings
from recommender.judging.hits import Hits, ndcg
from recommender.judging.intervals import PerPerson, bootstrap_interval, paired_bootstrap
from recommender.query import QueryBatch
from recommender.ragged import RaggedItems
from recommender.split import TimeSplit
from release.answering.request_path import answer_many
from release.answering.request_query import read_people, retrieval_query
from release.answering.session_reader import SessionReader
from release.bundle.bundle import Release
from sources.simulator.world_spec import WorldSpec, world_kind
from sources.simulator.world_tables import simulate_tables

COUNTS: Final[tuple[int, ...]] = (0, 1, 2, 3, 5, 10)  # items that are known of a newcomer
K: Final = 10
FEWEST_PEOPLE: Final = 40
SLATES: Final = "slates"
BESIDE: Final = ("popular_recent", "popular", "covisitation", "next_visit", "als", "content")


@dataclass(frozen=True)
class Newcomer:
    """Somebody without an event before the window. first: each item of theirs when they first touched it, in order."""

    first: History

    def known(self, n_items: int) -> History:
        """What is known of them after so many items."""
        return self.first.where(slice(n_items))

    def asks_at(self, n_items: int) -> datetime:
        """A second after the last item that is known; at their first event where none is."""
        moment = int(self.first.event_ts[max(n_items - 1, 0)])
        return datetime.fromtimestamp(moment + (n_items > 0), UTC)


def main() -> None:
    """Fit, ask, judge; a table and a figure for each application."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", nargs="+", default=["movies", "shop", "articles"])
    parser.add_argument("--windows", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    figures: dict[str, Any] = {}
    for app in asked.apps:
        changes = load_preset(Path(), app) | {"request.diversity.method": "none"}
        settings = overridden_settings(PARAMS.read_bytes(), changes)
        figures[app] = _told(app, settings, _measured(settings, _tables(settings), asked.windows))
    if asked.plot is not None:
        _plot(figures, asked.plot)
    by_count = {app: told["ndcg_at_10"] for app, told in figures.items()}
    print_figures("coldstart", {**by_count, "more": figures}, data=", ".join(asked.apps), seed=settings.seed)


def _tables(settings: Settings) -> CanonicalTables:
    world = settings.ingest.simulator if settings.ingest.source == "simulator" else None
    if world is None:
        return CanonicalTables.load(VALID, impressions=False)
    kind = world_kind(world.kind)
    return simulate_tables(WorldSpec(kind, world.n_users, world.n_items, world.n_days, world.seed))


def _measured(settings: Settings, tables: CanonicalTables, n_windows: int) -> dict[tuple[str, int], PerPerson]:
    """By system and number of known items, (n_people,) NDCG@10 of the newcomers of all windows, the same people."""
    splits = Windows.choosing(tables, settings).splits[-n_windows:]
    people = [_newcomers(tables_until_end(tables, split), split.test_start) for split in splits]
    most = _most_known([one for those in people for one in those])
    parts = [
        _of_window(settings, tables, split, [one for one in those if len(one.first) > most], most)
        for split, those in zip(splits, people, strict=True)
    ]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _most_known(people: Sequence[Newcomer]) -> int:
    """The largest of COUNTS that enough people go past; raises SystemExit where none is."""
    for count in reversed(COUNTS[1:]):
        if sum(len(one.first) > count for one in people) >= FEWEST_PEOPLE:
            return count
    raise SystemExit(f"Fewer than {FEWEST_PEOPLE} newcomers touched two items; take more --windows.")


def _newcomers(known: CanonicalTables, start: datetime) -> list[Newcomer]:
    """Whoever first came in the window, in the order of user_id; known: up to its end."""
    events, ids = positive_events(known.interactions), IdMap.of(known.items["item_id"])
    events = events.with_columns(pl.Series("item_idx", ids.indices(events["item_id"]))).filter(pl.col("item_idx") >= 0)
    began = pl.col("event_ts").min().over("user_id") >= start
    first = events.filter(began).sort("user_id", "event_ts", "item_id").unique(["user_id", "item_id"], keep="first")
    return [
        Newcomer(
            History.without_types(
                mine["item_idx"].to_numpy().astype(np.int32),
                mine["event_ts"].dt.epoch("s").to_numpy().astype(np.int64),
                mine["value"].fill_null(float("nan")).to_numpy().astype(np.float32),
            )
        )
        for _, mine in first.sort("user_id", "event_ts", "item_id").group_by("user_id", maintain_order=True)
    ]


def _of_window(
    settings: Settings, tables: CanonicalTables, split: TimeSplit, people: Sequence[Newcomer], most: int
) -> dict[tuple[str, int], PerPerson]:
    data = window_data(settings, tables, split)
    release = fit_release(settings, data, settings.seed)
    reader = OfflineFeatureReader(data.values, release.schemas, release.catalogue.ids)
    wanted = RaggedItems.of(np.unique(one.first.item_idx[most:]) for one in people)
    values: dict[tuple[str, int], PerPerson] = {}
    for count in (one for one in COUNTS if one <= most):
        shown = [_shown(release, reader, one, count, most) for one in people]
        for system in (SLATES, *BESIDE):
            slates = RaggedItems.of(one[system] for one in shown)
            values[system, count] = ndcg(Hits.of(slates, wanted), K)
    return values


def _shown(
    release: Release, reader: OfflineFeatureReader, person: Newcomer, count: int, most: int
) -> Mapping[str, ItemIdxArray]:
    """By system, the items of one slate without those that the person touched up to the largest count."""
    session, now, k = SessionId("newcomer"), person.asks_at(count), K + most
    request = RecommendRequest("newcomer", session_id=session, k=k)
    with_session = SessionReader(reader, {session: person.known(count)})
    (slate,) = answer_many(release, with_session, FixedClock(now), [request])
    (read,) = read_people(release, with_session, [request], now)
    queries = QueryBatch.of([retrieval_query(release, request, read, now)])
    found = {name: release.generators[name].encode(queries).propose(k).item_idx for name in BESIDE}
    found[SLATES] = release.catalogue.ids.indices(item.item_id for item in slate.items)
    touched = person.first.item_idx[:most]
    return {name: items[~np.isin(items, touched)][:K] for name, items in found.items()}


def _told(app: str, settings: Settings, values: Mapping[tuple[str, int], PerPerson]) -> dict[str, Any]:
    """Print the table of one application, and give its figures."""
    rng, counts = np.random.default_rng(settings.seed), [count for system, count in values if system == SLATES]
    nothing = values[SLATES, 0]
    gains = {n: paired_bootstrap(values[SLATES, n], nothing, rng, settings.evaluate.n_bootstrap) for n in counts}
    print(f"\n{app}: {len(nothing)} newcomers with more than {counts[-1]} items, judged on what came after them")
    rows = [[str(n), *_cells(values, n, gains[n].to_json(), rng)] for n in counts]
    print_table(("known", SLATES, "over nothing known", *BESIDE), rows)
    return {
        "ndcg_at_10": {str(n): round(float(values[SLATES, n].mean()), 4) for n in counts},
        "gain_over_nothing": {str(n): gain.to_json() for n, gain in gains.items()},
        "beside": {name: {str(n): round(float(values[name, n].mean()), 4) for n in counts} for name in BESIDE},
        "people": len(nothing),
    }


def _cells(
    values: Mapping[tuple[str, int], PerPerson], n: int, gain: Mapping[str, float], rng: np.random.Generator
) -> Iterator[str]:
    slates = bootstrap_interval(values[SLATES, n], rng)
    yield f"{slates.mean:.3f} [{slates.low:.3f}, {slates.high:.3f}]"
    yield f"{gain['mean']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]" if n else ""
    yield from (f"{values[name, n].mean():.3f}" for name in BESIDE)


def _plot(figures: Mapping[str, Any], path: Path) -> None:
    import matplotlib as mpl  # only who asks for the picture pays for it

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    _, panels = plt.subplots(1, len(figures), figsize=(4 * len(figures), 3.2), squeeze=False, layout="constrained")
    for panel, (app, told) in zip(panels[0], figures.items(), strict=True):
        for name, by_count in {SLATES: told["ndcg_at_10"], **told["beside"]}.items():
            style = {"linewidth": 2.5, "color": "black"} if name == SLATES else {"linewidth": 1, "alpha": 0.8}
            panel.plot(
                [int(n) for n in by_count], list(by_count.values()), marker="o", markersize=3, label=name, **style
            )
        panel.set(title=f"{app} ({told['people']} people)", xlabel="items known", ylabel="NDCG@10", ylim=(0, None))
    panels[0][-1].legend(fontsize=7)
    plt.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
