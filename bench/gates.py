"""What do the promotion gates let through? Real retrainings and spoilt ones, each against the release of params.yaml.

    python -m bench.gates [--seeds N]

Run it in a checkout where `dvc repro features` has finished. A retraining differs in its seed or in the number of
trees and should pass; a release that learnt nothing, or popularity alone, must be refused. Only the measured fits are
trained: the gates compare nothing else.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from bench.report import print_figures, print_table
from contracts.settings.settings import Settings, load_settings
from contracts.tables import CanonicalTables
from feature_store.values.values import load_schemas
from pipelines import candidates, evaluate, index
from pipelines.matrix_run import load_split
from pipelines.paths import CANDIDATES, EVALUATION, FEATURES, RANKING, VALID, Cutoff, feature_values
from pipelines.ranking import ranking_inputs, scan_training
from recommender.generators.sets import load_generators
from recommender.ranking.ranker import Ranker, RankingRows
from recommender.ranking.training_rows import build_ranking_rows
from release.bundle.bundle import FittedArtefacts
from release.bundle.open_bundle import OpenBundle
from release.bundle_build import Ingredients, build_bundle
from release.evaluation.cases import known_contexts
from release.evaluation.summary import Bootstrap
from release.gates.gate import Gate
from release.gates.quality_gates import QualityGates

Labels = npt.NDArray[np.int32]
CHAMPION = "params.yaml as it is"
N_TAUGHT_POPULAR = 10


@dataclass(frozen=True)
class Variant:
    """A release to ask about. teach: the labels its ranker learns from; should_pass: what the gates ought to say."""

    name: str
    settings: Settings
    should_pass: bool
    teach: Callable[[RankingRows], Labels]


def main() -> None:
    """Build every variant, ask the gates, and print a row per gate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    settings = load_settings()
    data = Path("data").absolute()
    with tempfile.TemporaryDirectory() as scratch:
        champion = OpenBundle(_build(Variant(CHAMPION, settings, True, _as_they_are), Path(scratch) / "champion", data))
        asked = []
        variants = _variants(settings, parser.parse_args().seeds)
        for number, variant in enumerate(tqdm(variants, desc="variants", disable=None)):
            challenger = OpenBundle(_build(variant, Path(scratch) / str(number), data))
            gates = QualityGates(settings.promotion, _bootstrap(settings)).evaluate(challenger, champion)
            asked.append((variant, gates))
    _print(asked, settings)


def _variants(settings: Settings, n_seeds: int) -> list[Variant]:
    seeds = [_changed(settings, seed=settings.seed + step) for step in range(1, n_seeds + 1)]
    trees = [round(settings.ranking.n_trees * share) for share in (0.25, 0.375, 2)]
    forests = [_changed(settings, ranking=settings.ranking.model_copy(update={"n_trees": n})) for n in trees]
    return [
        *(Variant(f"seed {one.seed}", one, True, _as_they_are) for one in seeds),
        *(Variant(f"at most {one.ranking.n_trees} trees", one, True, _as_they_are) for one in forests),
        Variant("shuffled labels", settings, False, _shuffled),
        Variant("taught popularity", settings, False, _popular),
    ]


def _changed(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


def _as_they_are(rows: RankingRows) -> Labels:
    return rows.labels


def _shuffled(rows: RankingRows) -> Labels:
    """What each person wanted, dealt out anew among their candidates."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.permutation(labels) for labels in _by_query(rows, rows.labels)])


def _popular(rows: RankingRows) -> Labels:
    """Everybody wants the most popular of their candidates."""
    popularity = rows.values[:, rows.names.index("score_popular")]
    order = [np.argsort(np.argsort(-values, kind="stable")) for values in _by_query(rows, popularity)]
    return (np.concatenate(order) < N_TAUGHT_POPULAR).astype(np.int32)


def _by_query(rows: RankingRows, values: npt.NDArray[np.generic]) -> list[npt.NDArray[np.generic]]:
    return np.split(values, np.cumsum(rows.group_sizes)[:-1])


def _build(variant: Variant, folder: Path, data: Path) -> Path:
    """Train the measured fit in a folder of its own, measure it, and put it into a bundle that also ships it."""
    folder.mkdir()
    (folder / "data").symlink_to(data)
    with chdir(folder):
        candidates.run(variant.settings, Cutoff.TEST)
        index.run(variant.settings, Cutoff.TEST)
        _train(variant)
        evaluate.run(variant.settings)
        Path("validation.json").write_text(json.dumps({"success": True}))
        build_bundle(Path("bundle"), _ingredients(variant))
    return folder / "bundle"


def _train(variant: Variant) -> None:
    generators, schemas = load_generators(CANDIDATES / Cutoff.TEST), load_schemas(FEATURES)
    split = load_split()
    catalogues = [(split.end(Cutoff.TEST), generators.catalogue)]
    inputs = ranking_inputs(variant.settings, CanonicalTables.load(VALID), catalogues, schemas, scan_training())
    rows = build_ranking_rows(inputs, split.label_windows(Cutoff.TEST))
    built_with = {"generators": generators.fingerprint, "feature schemas": schemas.fingerprint}
    taught = replace(rows, labels=variant.teach(rows))
    Ranker.fit(taught, variant.settings.ranking, variant.settings.seed, built_with).save(RANKING / Cutoff.TEST)


def _ingredients(variant: Variant) -> Ingredients:
    split, contexts = load_split(), known_contexts(CanonicalTables.load(VALID).users)
    fit: FittedArtefacts = evaluate.fit_of(Cutoff.TEST)
    return Ingredients(
        settings=variant.settings,
        shipped=fit,
        measured=fit,
        schemas=FEATURES,
        values=feature_values(Cutoff.TEST),
        measured_values=feature_values(Cutoff.TEST),
        evaluation=EVALUATION,
        validation=Path("validation.json"),
        test_start=split.test_start,
        as_of=split.test_start,
        contexts=[contexts[user_id] for user_id in sorted(contexts)],
        data={},
        code=variant.name,
    )


def _bootstrap(settings: Settings) -> Bootstrap:
    return Bootstrap(settings.evaluate.n_bootstrap, settings.seed)


def _print(asked: list[tuple[Variant, tuple[Gate, ...]]], settings: Settings) -> None:
    columns = ("gate", "verdict", "value", "95% interval", "threshold", "n")
    rows = [
        (variant.name, *(gate.cells[column] for column in columns))
        for variant, gates in asked
        for gate in gates
        if gate.value is not None
    ]
    print_table(["release", *columns], rows)
    verdicts = {variant.name: all(gate.passed for gate in gates) for variant, gates in asked}
    as_meant = sum(verdicts[variant.name] == variant.should_pass for variant, _ in asked)
    figures = {
        "passed": verdicts,
        "as_meant": as_meant,
        "asked": len(asked),
        "gates": {variant.name: [gate.to_json() | {"sentence": ""} for gate in gates] for variant, gates in asked},
    }
    print_figures("gates", figures, data="the checkout's own", seed=settings.seed)


if __name__ == "__main__":
    main()
