"""Gates: what a release must show before it goes into Staging or Production. Each says value, threshold and why.

Whether it is sound is asked for both stages; whether its source is committed and how good it is, for Production alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.settings import Settings
from release.bundle import VALIDATION, Release, load_bundle, read_json
from release.decision import Gate
from release.golden import check_golden
from release.quality_gates import quality_gates
from release.registry import GENERATION_TAG, Version
from release.registry_state import Stage


@dataclass(frozen=True)
class Candidate:
    """What is to be decided on: a version, where its bundle lies, and for which stage.

    champion: the bundle of the release in production; None when there is none.
    allow_dirty: uncommitted source is no reason against it; accepted: why it may be without a comparison.
    """

    version: Version
    bundle: Path
    stage: Stage
    champion: Path | None = None
    allow_dirty: bool = False
    accepted: str = ""


def evaluate_gates(candidate: Candidate, settings: Settings) -> tuple[Gate, ...]:
    """Every gate that applies, in a fixed order.

    A bundle that does not load fails the first gate, and the others are not asked.
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
    ]
    if candidate.stage is Stage.PRODUCTION:
        gates.append(_source(candidate))
        gates += quality_gates(candidate.bundle, candidate.champion, settings.promotion, candidate.accepted)
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


def _source(candidate: Candidate) -> Gate:
    version = candidate.version
    if not version.dirty:
        return Gate("source", passed=True, sentence=f"Built from commit {version.commit[:12]}.")
    if candidate.allow_dirty:
        return Gate("source", passed=True, sentence="Built from uncommitted source, which was allowed.")
    advice = f"Commit it and `slate register` again, or allow it: `slate promote {version.number} --allow-dirty`."
    return Gate("source", passed=False, sentence=f"Built from uncommitted source. {advice}")
