"""Gates: what a release must show before it goes into Staging or Production. Each says value, threshold and why.

Whether it is sound (whole, quick, and published as its bundle says) is asked for both stages; whether its source is
committed, how fresh and how familiar its data is and how good it is, for Production alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.clock import Clock, WallClock
from contracts.errors import ArtefactError, ReleaseMismatch, StoreError, StoreUnavailable
from contracts.features import FeatureReader
from contracts.settings.promotion import PromotionSettings
from contracts.settings.settings import Settings
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.bundle.bundle import VALIDATION, Release, load_bundle, read_json
from release.bundle.manifest import VALUES_FOLDER
from release.evaluation.summary import Bootstrap
from release.gates.data_gates import DataGates
from release.gates.gate import Gate
from release.gates.latency import Timer, measure_latency
from release.gates.quality_gates import QualityGates
from release.golden.golden_queries import check_golden, golden_calls
from release.parity.parity_result import last_parity
from release.parity.store_parity import Sample, check_parity
from release.registry.registry import GENERATION_TAG, Version
from release.registry.state import Stage


@dataclass(frozen=True)
class Candidate:
    """What is to be decided on: a version, where its bundle lies, and for which stage.

    reader: publishes a release's values, if they are not in the store yet, and reads them as serving would.
    champion: the bundle of the release in production; None when there is none.
    allow_dirty: uncommitted source is no reason against it; accepted: why it may be without a comparison.
    parity: where the results of `slate parity` are kept; None where they are not.
    """

    version: Version
    bundle: Path
    stage: Stage
    reader: Callable[[Release], FeatureReader]
    champion: Path | None = None
    allow_dirty: bool = False
    accepted: str = ""
    parity: Path | None = None


def evaluate_gates(
    candidate: Candidate, settings: Settings, timer: Timer = time.perf_counter, clock: Clock | None = None
) -> tuple[Gate, ...]:
    """Every gate that applies, in a fixed order.

    A bundle that does not load fails the first gate, and the others are not asked. clock: by which data ages where
    `serving.clock` is `wall`; by default the wall's.
    Raises StoreUnavailable when the store is away: the request can be decided later. One that does not take the values
    fails the gate of parity, for waiting would change nothing.
    """
    try:
        release = _load(candidate)
    except ArtefactError as error:
        return (Gate("artefacts", passed=False, sentence=error.problem),)
    gates = [
        Gate("artefacts", passed=True, sentence="Every file is what the manifest says, and the parts fit together."),
        _attempt("golden", lambda: check_golden(release), "Every golden query was answered as expected."),
        _validation(candidate.bundle),
        _index_recall(release, settings.index.min_recall),
        _latency(candidate.bundle, release, settings.promotion.max_p99_ms, timer),
        _parity(candidate, release, settings.promotion.parity_sample),
    ]
    if candidate.stage is Stage.PRODUCTION:
        gates += [_source(candidate), _logged_parity(candidate, release, settings.promotion)]
        wall = (clock or WallClock()) if settings.serving.clock == "wall" else None
        gates += DataGates(settings.promotion, wall, candidate.accepted).evaluate(candidate.bundle, candidate.champion)
        bootstrap = Bootstrap(settings.evaluate.n_bootstrap, settings.seed)
        quality = QualityGates(settings.promotion, bootstrap, candidate.accepted)
        gates += quality.evaluate(candidate.bundle, candidate.champion)
    return tuple(gates)


def _load(candidate: Candidate) -> Release:
    release = load_bundle(candidate.bundle)
    if release.release_id != candidate.version.release_id:
        raise ReleaseMismatch(
            f"The bundle {candidate.bundle} is release {release.release_id}; version {candidate.version.number} says "
            f"{candidate.version.release_id}.",
            "Register the release again: `slate register`.",
        )
    if release.generation_id != candidate.version.generation_id:
        raise ReleaseMismatch(
            f"The bundle {candidate.bundle} holds generation {release.generation_id}; version "
            f"{candidate.version.number} says {candidate.version.generation_id}.",
            f"Mend the tag `{GENERATION_TAG}` of the version in MLflow.",
        )
    return release


def _attempt(name: str, check: Callable[[], object], good: str) -> Gate:
    """A gate that is passed when the check raises nothing of ours."""
    try:
        check()
    except ArtefactError as error:
        return Gate(name, passed=False, sentence=error.problem)
    return Gate(name, passed=True, sentence=good)


def _validation(bundle: Path) -> Gate:
    try:
        passed = read_json(bundle / VALIDATION).get("success") is True
    except ArtefactError as error:
        return Gate("validation", passed=False, sentence=error.problem)
    sentence = "The data passed its validation." if passed else "The data did not pass its validation."
    return Gate("validation", passed, sentence)


def _index_recall(release: Release, least: float) -> Gate:
    index = release.index
    sentence = f"The index finds {index.recall:.4f} of the exact top {index.recall_k}; at least {least} is asked."
    return Gate("index_recall", index.recall >= least, sentence, index.recall, least)


def _latency(bundle: Path, release: Release, most_ms: float, timer: Timer) -> Gate:
    try:
        found = measure_latency(golden_calls(bundle, release), timer, most_ms)
    except ArtefactError as error:
        return Gate("latency", passed=False, sentence=error.problem)
    sentence = (
        f"Of {found.n_answers} answers to the golden queries in this process, without store and network, 99% took at "
        f"most {found.p99_ms:.1f} ms and half {found.median_ms:.1f} ms; {most_ms:g} ms is allowed for the first."
    )
    return Gate("latency", found.p99_ms <= most_ms, sentence, found.p99_ms, most_ms, n=found.n_answers)


def _parity(candidate: Candidate, release: Release, n_sampled: int) -> Gate:
    try:
        online = candidate.reader(release)
        values = FeatureValues.load(candidate.bundle / VALUES_FOLDER)
        offline = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
        sample = Sample.draw(values, n_sampled)
        found = check_parity(online, offline, release.schemas, sample, release.as_of)
    except StoreUnavailable:
        raise
    except (ArtefactError, StoreError) as error:
        return Gate("parity", passed=False, sentence=error.problem)
    counts = ", ".join(f"{count} {fault}" for fault, count in found.counts.items())
    sentence = f"Of {found.n_keys} keys read online and offline at one moment: {counts}. {found.first}".strip()
    return Gate("parity", not found.n_faults, sentence, found.n_faults, 0, n=found.n_keys)


def _logged_parity(candidate: Candidate, release: Release, promotion: PromotionSettings) -> Gate:
    """What the last `slate parity` found in answers of the release, given in Staging, as a canary or in production."""
    try:
        found = last_parity(candidate.parity, release.release_id) if candidate.parity else None
    except ArtefactError as error:
        return Gate("logged_parity", passed=False, sentence=error.problem)
    least, most = promotion.min_parity_requests, promotion.max_parity_share
    n, share = (found.n_requests, found.fault_share) if found else (0, 0.0)
    sentence = f"Of {n} answers of it the feature values were computed again, at least {least} are asked. "
    if found:
        sentence += f"{found.n_faults} of {found.n_values} values were at fault; {most:.2%} may be. {found.first} "
    if n < least:
        sentence += "Let it answer in Staging or as a canary, and run `slate parity`."
    return Gate("logged_parity", n >= least and share <= most, sentence.strip(), share, most, n=n)


def _source(candidate: Candidate) -> Gate:
    version = candidate.version
    if not version.dirty:
        return Gate("source", passed=True, sentence=f"Built from commit {version.commit[:12]}.")
    if candidate.allow_dirty:
        return Gate("source", passed=True, sentence="Built from uncommitted source, which was allowed.")
    advice = f"Commit it and `slate register` again, or allow it: `slate promote {version.number} --allow-dirty`."
    return Gate("source", passed=False, sentence=f"Built from uncommitted source. {advice}")
