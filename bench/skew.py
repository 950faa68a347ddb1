"""What does skew cost, and is it refused? User vectors of one training run searched in the index of another.

    python -m bench.skew [--runs N]

Run it in a checkout where `dvc repro release` has finished. ALS is fitted N times before the test window, with seeds of
its own each time, and everybody with a history is asked about at the start of the window: with the index of the run
that made the user vector, with the index of the next run, and by popularity alone. The slates of the whole request path
are judged in the same way, the check being bypassed. Then mixed sets are put together, and every one must be refused.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import tqdm, trange

from bench.report import print_figures, print_table
from contracts.clock import FixedClock
from contracts.errors import ReleaseMismatch
from contracts.home import find_home
from contracts.ids import ItemIdxArray
from contracts.settings.settings import Settings, load_settings
from contracts.tables import CanonicalTables
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues, load_schemas
from pipelines.evaluate import fit_of
from pipelines.matrix_run import load_split
from pipelines.paths import BUNDLE, FEATURES, VALID, Cutoff, feature_values
from recommender.generators.als import AlsGenerator
from recommender.generators.indexed import IndexedGenerator
from recommender.index.vector_index import VectorIndex
from recommender.interactions import Interactions
from recommender.judging.hits import Hits, ndcg, recall
from recommender.judging.intervals import Interval, PerPerson
from recommender.query import QueryBatch, RetrievalQuery
from recommender.ragged import RaggedItems
from release.answering.request_path import answer_many
from release.answering.request_query import read_person, retrieval_query
from release.bundle.bundle import Release, load_bundle
from release.bundle.manifest import list_files, load_manifest
from release.evaluation.cases import WARM, EvaluationCase, build_cases
from release.evaluation.summary import Bootstrap

N_PROPOSED = 100
SLATE = 10
N_RESAMPLES = 2000
CONSISTENT, SKEWED, POPULAR = "consistent", "skewed", "popular"
COLOURS = {CONSISTENT: "#33658a", SKEWED: "#c1443c", POPULAR: "#b8c4ce"}


@dataclass(frozen=True)
class Run:
    """One training run: the generator that folds people in, and the index over its items."""

    als: AlsGenerator
    index: VectorIndex


@dataclass(frozen=True)
class MeasuredWorld:
    """The release that was measured, who is asked about, and what is known of them."""

    settings: Settings
    tables: CanonicalTables
    release: Release
    reader: OfflineFeatureReader
    cases: Sequence[EvaluationCase]

    @classmethod
    def load(cls) -> MeasuredWorld:
        """From the checkout's own data and models."""
        settings, tables, split = load_settings(), CanonicalTables.load(VALID), load_split()
        values, schemas = FeatureValues.load(feature_values(Cutoff.TEST)), load_schemas(FEATURES)
        fit = fit_of(Cutoff.TEST)
        release = Release.assemble(fit, schemas, settings.request, split.test_start, values.generation_id)
        reader = OfflineFeatureReader(values, schemas, release.catalogue.ids)
        rng, most = np.random.default_rng(settings.seed), settings.evaluate.max_people
        cases = build_cases(tables, release.catalogue.ids, split.test_start, SLATE, most, rng)[WARM]
        return cls(settings, tables, release, reader, cases)

    def query(self, case: EvaluationCase) -> RetrievalQuery:
        person = read_person(self.release, self.reader, case.request, case.now)
        return retrieval_query(self.release, case.request, person, case.now)

    def train(self, seed: int) -> Run:
        catalogue = self.release.catalogue
        before = self.tables.interactions.filter(pl.col("event_ts") < self.release.as_of)
        als = AlsGenerator.fit(Interactions.of(before, catalogue.ids), catalogue, self.settings.candidates.als, seed)
        return Run(als, VectorIndex.build(als.item_factors, catalogue.ids, self.settings.index))


class Unchecked(IndexedGenerator):
    """What skew is: a generator that searches whatever index it was given."""

    def __post_init__(self) -> None:
        """Look away."""


def main() -> None:
    """Measure, draw, and show what is refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    n_runs = max(parser.parse_args().runs, 2)
    world = MeasuredWorld.load()
    runs = [world.train(world.settings.seed + 1 + number) for number in trange(n_runs, desc="train", disable=None)]
    bootstrap = Bootstrap(N_RESAMPLES, world.settings.seed)
    retrieval, slates = _retrieval(world, runs), _slates(world, runs)
    figures = {
        **_figures("retrieval, recall@100", {name: values["recall"] for name, values in retrieval.items()}, bootstrap),
        **_figures("retrieval, NDCG@10", {name: values["ndcg"] for name, values in retrieval.items()}, bootstrap),
        **_figures("slates, NDCG@10", slates, bootstrap),
    }
    print_table(
        ["what", "set", "mean", "95% interval", "minus skewed"],
        [
            (what, name, f"{one.mean:.3f}", _ends(one), "" if name == SKEWED else _ends(gain))
            for (what, name), (one, gain) in figures.items()
        ],
    )
    picture = find_home().root / "bench" / "skew.png"
    _plot(picture, figures)
    print(f"\n{picture}\n")
    refused = [_refusal(what, put_together) for what, put_together in _mixed_sets(world, runs)]
    of_retrieval = {name: figures["retrieval, NDCG@10", name][0].mean for name in COLOURS}
    print_figures(
        "skew",
        {
            **{f"ndcg_{name}": round(mean, 4) for name, mean in of_retrieval.items()},
            **{f"recall_at_100_{name}": round(figures["retrieval, recall@100", name][0].mean, 4) for name in COLOURS},
            **{f"slates_ndcg_{name}": round(figures["slates, NDCG@10", name][0].mean, 4) for name in slates},
            "people": len(world.cases),
            "runs": n_runs,
            "mixed_sets": len(refused),
            "refused": all(refused),
        },
        data="MovieLens 100K" if world.settings.ingest.source == "movielens-100k" else world.settings.ingest.source,
        seed=world.settings.seed,
    )
    sys.exit(0 if all(refused) else 1)


def _retrieval(world: MeasuredWorld, runs: Sequence[Run]) -> dict[str, dict[str, PerPerson]]:
    """By set and metric, (n_people,) the mean over the runs."""
    popular = world.release.generators["popular"]
    values: dict[str, dict[str, list[float]]] = {name: {"ndcg": [], "recall": []} for name in COLOURS}
    for case in tqdm(world.cases, desc="retrieve", unit="person", disable=None):
        query = world.query(case)
        proposed = {
            CONSISTENT: [_propose(run.als, run.index, query) for run in runs],
            SKEWED: [_propose(run.als, other.index, query) for run, other in _pairs(runs)],
            POPULAR: [popular.encode(QueryBatch.of([query])).propose(N_PROPOSED).item_idx],
        }
        for name, found in proposed.items():
            hits = Hits.of(RaggedItems.of(found), RaggedItems.of([case.relevant] * len(found)))
            values[name]["ndcg"].append(float(ndcg(hits, SLATE).mean()))
            values[name]["recall"].append(float(recall(hits, N_PROPOSED).mean()))
    return {name: {metric: np.array(each) for metric, each in of.items()} for name, of in values.items()}


def _pairs(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    yield from zip(runs, [*runs[1:], runs[0]], strict=True)


def _propose(als: AlsGenerator, index: VectorIndex, query: RetrievalQuery) -> ItemIdxArray:
    return Unchecked(als, index).encode(QueryBatch.of([query])).propose(N_PROPOSED).item_idx


def _slates(world: MeasuredWorld, runs: Sequence[Run]) -> dict[str, PerPerson]:
    """By set, (n_people,) NDCG@10 of what the whole request path answers; the ranker is the measured release's."""
    indexed = world.release.generators["als"]
    assert isinstance(indexed, IndexedGenerator)
    skewed = [_with_als(world.release, Unchecked(indexed.als, run.index)) for run in runs]
    releases = {CONSISTENT: [world.release], SKEWED: skewed}
    return {name: np.mean([_judge(world, release) for release in of], axis=0) for name, of in releases.items()}


def _with_als(release: Release, als: IndexedGenerator) -> Release:
    return replace(release, generators={**release.generators, "als": als})


def _judge(world: MeasuredWorld, release: Release) -> PerPerson:
    clock, item_ids = FixedClock(release.as_of), release.catalogue.ids
    slates = answer_many(release, world.reader, clock, [case.request for case in world.cases])
    shown = RaggedItems.of(item_ids.indices(item.item_id for item in slate.items) for slate in slates)
    return ndcg(Hits.of(shown, RaggedItems.of(case.relevant for case in world.cases)), SLATE)


def _figures(
    what: str, values: Mapping[str, PerPerson], bootstrap: Bootstrap
) -> dict[tuple[str, str], tuple[Interval, Interval]]:
    """By what and set: the mean, and the paired difference to the skewed set."""
    return {
        (what, name): (
            bootstrap.interval(of, what, name),
            bootstrap.difference(of, values[SKEWED], what, name, "minus skewed"),
        )
        for name, of in values.items()
    }


def _ends(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _plot(path: Path, figures: Mapping[tuple[str, str], tuple[Interval, Interval]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    whats = list(dict.fromkeys(what for what, _ in figures))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for place, what in enumerate(whats, start=1):
        axes = figure.add_subplot(1, len(whats), place)
        shown = {name: one for (about, name), (one, _) in figures.items() if about == what}
        means = np.array([one.mean for one in shown.values()])
        spread = [
            means - [one.low for one in shown.values()],
            np.array([one.high for one in shown.values()]) - means,
        ]
        labels = [f"{name}\n{one.mean:.3f}" for name, one in shown.items()]
        axes.bar(labels, means, yerr=spread, color=[COLOURS[name] for name in shown], capsize=4)
        axes.set_title(what, fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("mean over people with a history, and its 95% interval", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _mixed_sets(world: MeasuredWorld, runs: Sequence[Run]) -> Iterator[tuple[str, Callable[[Path], object]]]:
    """What nobody may serve: each is put together in an empty folder, and loaded."""
    index = runs[0].index
    claiming = replace(index, embeddings_fingerprint=world.release.index.embeddings_fingerprint)
    yield "the index of another run beside these generators", partial(_assemble, world, index)
    yield "the same, its meta claiming the right embeddings", partial(_assemble, world, claiming)
    for part in ("candidates", "index", "ranking", "values"):
        yield f"the bundle with {part} of another cutoff", partial(_mix, part, relisted=False)
        yield "the same, listed in its manifest", partial(_mix, part, relisted=True)


def _assemble(world: MeasuredWorld, index: VectorIndex, folder: Path) -> Release:
    """The measured release with another index."""
    index.save(folder / "index")
    mixed = replace(fit_of(Cutoff.TEST), index=folder / "index")
    release = world.release
    return Release.assemble(mixed, release.schemas, release.request, release.as_of, release.generation_id)


def _mix(part: str, folder: Path, *, relisted: bool) -> Release:
    """The built bundle with one part as it was at the start of the test window."""
    bundle = Path(shutil.copytree(BUNDLE, folder / "bundle"))
    shutil.rmtree(bundle / part)
    shutil.copytree(feature_values(Cutoff.TEST) if part == "values" else BUNDLE / "measured" / part, bundle / part)
    if relisted:
        manifest = load_manifest(bundle)
        generation_id = FeatureValues.load(bundle / "values").generation_id
        replace(manifest, files=list_files(bundle), generation_id=generation_id).save(bundle)
    return load_bundle(bundle)


def _refusal(what: str, put_together: Callable[[Path], object]) -> bool:
    """Whether the mixed set was refused; prints the error, or that there was none."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            put_together(Path(scratch))
        except ReleaseMismatch as error:
            print(f"{what}:\n  ReleaseMismatch: {str(error).replace(scratch, '<scratch>')}\n")
            return True
    print(f"{what}: NOT REFUSED\n")
    return False


if __name__ == "__main__":
    main()
