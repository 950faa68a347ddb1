"""Gates: what a release must show before it goes into Staging or Production. Each says value, threshold and why.

Whether it is sound (whole, quick, and published as its bundle says) is asked for both stages; whether its source is
committed, how fresh and how familiar its data is and how good it is, for Production alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from contracts.clock import Clock, WallClock
from contracts.errors import ArtefactError, StoreError, StoreUnavailable
from contracts.settings.promotion import PromotionSettings
from contracts.settings.settings import Settings
from feature_store.readers.offline_reader import OfflineFeatureReader
from feature_store.values.values import FeatureValues
from release.bundle.bundle import Release
from release.bundle.manifest import VALUES_FOLDER
from release.bundle.open_bundle import OpenBundle
from release.evaluation.summary import Bootstrap
from release.gates.data_gates import DataGates
from release.gates.gate import Gate, distinct_texts
from release.gates.latency import Calls, Latency, Timer, compare_latency, measure_latency
from release.gates.quality_gates import QualityGates
from release.gates.release_candidate import ReleaseCandidate
from release.golden.golden_queries import GoldenQueries
from release.parity.parity_result import load_last_parity
from release.parity.store_parity import ParitySample, check_store_parity
from release.registry.state import Stage


def evaluate_gates(
    candidate: ReleaseCandidate, settings: Settings, timer: Timer = time.perf_counter, clock: Clock | None = None
) -> tuple[Gate, ...]:
    """Every gate that applies, in a fixed order.

    A bundle that does not load fails the first gate, and the others are not asked. clock: by which data ages where
    `serving.clock` is `wall`; by default the wall's.
    Raises StoreUnavailable when the store is away: the request can be decided later. One that does not take the values
    fails the gate of parity, for waiting would change nothing.
    """
    artefacts = _artefacts(candidate)
    if not artefacts.passed:
        return (artefacts,)
    sound = (artefacts, *_soundness(candidate, settings, timer))
    return (*sound, *_fitness(candidate, settings, clock)) if candidate.stage is Stage.PRODUCTION else sound


def _soundness(candidate: ReleaseCandidate, settings: Settings, timer: Timer) -> Iterator[Gate]:
    """What is asked for both stages."""
    yield _golden(candidate)
    yield _validation(candidate.bundle)
    yield _index_recall(candidate.release, settings.index.min_recall)
    yield _latency(candidate, settings, timer)
    yield _parity(candidate, settings.promotion.parity_sample)


def _fitness(candidate: ReleaseCandidate, settings: Settings, clock: Clock | None) -> Iterator[Gate]:
    """What is asked for Production alone."""
    yield _source(candidate)
    yield _logged_parity(candidate, settings.promotion)
    wall = (clock or WallClock()) if settings.serving.clock == "wall" else None
    data = DataGates(settings.promotion, wall, candidate.accepted.get("drift", ""))
    yield from data.evaluate(candidate.bundle, candidate.champion)
    bootstrap = Bootstrap(settings.evaluate.n_bootstrap, settings.seed)
    quality = QualityGates(settings.promotion, bootstrap, candidate.accepted.get("ndcg", ""))
    yield from quality.evaluate(candidate.bundle, candidate.champion)


def _artefacts(candidate: ReleaseCandidate) -> Gate:
    good = "Every file is what the manifest says, and the parts fit together."
    return _attempt("artefacts", lambda: candidate.release, good)


def _golden(candidate: ReleaseCandidate) -> Gate:
    good = "Every golden query was answered as expected."
    return _attempt("golden", lambda: candidate.golden.check(), good)  # noqa: PLW0108 - loading them may fail, too


def _attempt(name: str, check: Callable[[], object], good: str) -> Gate:
    """A gate that is passed when the check raises nothing of ours."""
    try:
        check()
    except ArtefactError as error:
        return Gate(name, passed=False, sentence=error.problem)
    return Gate(name, passed=True, sentence=good)


def _validation(bundle: OpenBundle) -> Gate:
    try:
        passed = bundle.validation.get("success") is True
    except ArtefactError as error:
        return Gate("validation", passed=False, sentence=error.problem)
    sentence = "The data passed its validation." if passed else "The data did not pass its validation."
    return Gate("validation", passed, sentence)


def _index_recall(release: Release, least: float) -> Gate:
    """Among all items, and where it was measured under filters among those of the one that is searched worst."""
    index = release.index
    recall, name = index.least_recall
    measured, limit = distinct_texts(recall, least)
    among = f" among the items of {name!r}" if name else ""
    sentence = f"The index finds {measured} of the exact top {index.recall_k}{among}; at least {limit} is asked."
    return Gate("index_recall", recall >= least, sentence, recall, least, limits=("index.min_recall",))


def _latency(candidate: ReleaseCandidate, settings: Settings, timer: Timer) -> Gate:
    """Against a bound in milliseconds and against the release in production, as far as there are such."""
    bound_ms = settings.promotion.max_p99_ms
    try:
        calls = candidate.golden.calls()
        if bound_ms is not None or candidate.champion is None:
            latency = measure_latency(calls, timer, bound_ms)
            if bound_ms is not None and latency.p99_ms > bound_ms:
                return _above_bound(latency, bound_ms)
            if candidate.champion is None:
                return _nothing_to_compare_with(latency, bound_ms)
    except ArtefactError as error:
        return Gate("latency", passed=False, sentence=error.problem)
    return _latency_against(candidate.champion, calls, settings, timer)


def _above_bound(latency: Latency, bound_ms: float) -> Gate:
    sentence = f"{_slowest(latency)}, and {bound_ms:g} ms are allowed."
    limits = ("promotion.max_p99_ms",)
    return Gate("latency", False, sentence, latency.p99_ms, bound_ms, n=latency.n_answers, limits=limits)


def _nothing_to_compare_with(latency: Latency, bound_ms: float | None) -> Gate:
    why = f"nothing is in production to compare with. {_slowest(latency)}, half of them {latency.median_ms:.1f} ms."
    if bound_ms is None:
        return Gate.not_judged("latency", why, value=latency.p99_ms, n=latency.n_answers)
    sentence = f"{_slowest(latency)}; {bound_ms:g} ms are allowed."
    return Gate("latency", True, sentence, latency.p99_ms, bound_ms, n=latency.n_answers)


def _latency_against(champion: OpenBundle, calls: Calls, settings: Settings, timer: Timer) -> Gate:
    most, rng = settings.promotion.max_p99_ratio, np.random.default_rng(settings.seed)
    try:
        compared = compare_latency(calls, GoldenQueries.load(champion.release).calls(), timer, most, rng)
    except ArtefactError as error:
        return Gate.not_judged("latency", f"the release in production cannot be timed. {error.problem}")
    ours, theirs = compared.ours, compared.theirs
    sentence = (
        f"{_slowest(ours)}, those of the release in production {theirs.p99_ms:.1f} ms: {compared.ratio:.2f} times as "
        f"long. The lower end of the 95% interval is {compared.low:.2f}, and may be {most:.2f} at most."
    )
    figures = (compared.ratio, most, compared.low, compared.high, ours.n_answers)
    return Gate("latency", compared.low <= most, sentence, *figures, limits=("promotion.max_p99_ratio",))


def _slowest(latency: Latency) -> str:
    where = "in this process, without store and network"
    return f"99% of {latency.n_answers} answers {where}, took {latency.p99_ms:.1f} ms at most"


def _parity(candidate: ReleaseCandidate, n_sampled: int) -> Gate:
    release = candidate.release
    try:
        online = candidate.reader(release)
        values = FeatureValues.load(candidate.bundle.folder / VALUES_FOLDER)
        offline = OfflineFeatureReader(values, release.schemas, release.catalogue.ids)
        sample = ParitySample.draw(values, n_sampled)
        parity = check_store_parity(online, offline, release.schemas, sample, release.as_of)
    except StoreUnavailable:
        raise
    except (ArtefactError, StoreError) as error:
        return Gate("parity", passed=False, sentence=error.problem)
    counts = ", ".join(f"{count} {fault}" for fault, count in parity.counts.items())
    sentence = f"Of {parity.n_keys} keys read online and offline at one moment: {counts}; none may be. {parity.first}"
    return Gate("parity", not parity.n_faults, sentence.strip(), parity.n_faults, 0, n=parity.n_keys)


def _logged_parity(candidate: ReleaseCandidate, promotion: PromotionSettings) -> Gate:
    """What the last `slate parity` found in answers of the release, given in Staging, as a canary or in production."""
    try:
        last = load_last_parity(candidate.parity, candidate.version.release_id) if candidate.parity else None
    except ArtefactError as error:
        return Gate("logged_parity", passed=False, sentence=error.problem)
    least, most = promotion.min_parity_requests, promotion.max_parity_share
    n, share = (last.n_requests, last.fault_share) if last else (0, 0.0)
    if not n and not least:
        why = "no answer of it was computed again, and none is asked for (promotion.min_parity_requests)."
        return Gate.not_judged("logged_parity", why, n=n)
    sentence = f"Of {n} answers of it the feature values were computed again, at least {least} are asked. "
    if last:
        sentence += (
            f"{last.n_faults} of {last.n_values} values, {share:.4%}, were at fault; {most:.4%} may be. {last.first} "
        )
    if n < least:
        sentence += "Let it answer in Staging or as a canary, and run `slate parity`."
    limits = ("promotion.min_parity_requests",) if n < least else ("promotion.max_parity_share",)
    return Gate("logged_parity", n >= least and share <= most, sentence.strip(), share, most, n=n, limits=limits)


def _source(candidate: ReleaseCandidate) -> Gate:
    version = candidate.version
    if not version.dirty:
        return Gate("source", passed=True, sentence=f"Built from commit {version.commit[:12]}.")
    if candidate.allow_dirty:
        return Gate("source", passed=True, sentence="Built from uncommitted source, which was allowed.")
    advice = f"Commit it and `slate register` again, or allow it: `slate promote {version.number} --allow-dirty`."
    return Gate("source", passed=False, sentence=f"Built from uncommitted source. {advice}")
