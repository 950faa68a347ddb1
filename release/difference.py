"""What differs between two releases, as their bundles write it down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from contracts.features import Entity, FeatureSchema
from contracts.json_file import load_json
from feature_store.values.file_names import VALUES
from feature_store.values.values import FeatureSchemas, load_schemas
from release.bundle.bundle import EVALUATION, FEATURES, MEASURED, Release, load_bundle
from release.bundle.manifest import REBUILD, VALUES_FOLDER, Manifest
from release.evaluation.measured_window import CASES
from release.golden.golden_difference import GoldenDifference, compare_golden

ABSENT: Final = None
OfBoth = tuple[Any, Any]


@dataclass(frozen=True)
class FeatureDifference:
    """The features of one entity. changed: by feature, what of it (default, ttl_days) was and is."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, Mapping[str, OfBoth]] = field(default_factory=dict)
    reordered: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.reordered)


@dataclass(frozen=True)
class ReleaseDifference:
    """Two releases, A and B, beside one another; `OfBoth` is (of A, of B), None where one has no such thing.

    Only what differs is in `data`, `code`, `params`, `features`, `dimensions` and `artefacts`; the names of those where
    nothing does are in `equal`. metrics: by group and metric, (of A, of B, B - A), where they differ; same_people:
    whether both were measured on the same people and what they wanted, without which the metrics say little.
    """

    releases: OfBoth
    generations: OfBoth
    data: Mapping[str, OfBoth]
    code: Mapping[str, OfBoth]
    params: Mapping[str, OfBoth]
    features: Mapping[str, FeatureDifference]
    dimensions: Mapping[str, OfBoth]
    artefacts: Mapping[str, OfBoth]
    metrics: Mapping[str, Mapping[str, tuple[float, float, float]]]
    same_people: bool
    golden: GoldenDifference

    @property
    def equal(self) -> tuple[str, ...]:
        sections = ("data", "code", "params", "features", "dimensions", "artefacts", "metrics")
        return tuple(name for name in sections if not getattr(self, name))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "equal": list(self.equal)}


def compare_bundles(a: Path, b: Path) -> ReleaseDifference:
    """Load two bundles, compare what they write of themselves, and ask both of them the golden queries of B.

    Raises ArtefactError or ReleaseMismatch when one of them does not load.
    """
    release_a, release_b = load_bundle(a), load_bundle(b)
    sections_a, sections_b = _manifest_sections(release_a), _manifest_sections(release_b)
    pairs = {name: _differing(sections_a[name], sections_b[name]) for name in sections_a}
    return ReleaseDifference(
        releases=(release_a.release_id, release_b.release_id),
        generations=(release_a.generation_id, release_b.generation_id),
        **pairs,
        features=_compare_features(load_schemas(a / FEATURES), load_schemas(b / FEATURES)),
        metrics=compare_cards(a, b),
        same_people=_measured_people(release_a) == _measured_people(release_b),
        golden=compare_golden(release_a, release_b),
    )


def _measured_people(release: Release) -> str | None:
    """Names who was asked about in the test window, and what they wanted; bundles of version 1 do not say."""
    return release.manifest.files.get(f"{MEASURED}/{CASES}") if release.manifest else None


def _manifest_sections(release: Release) -> dict[str, dict[str, Any]]:
    """By section, what the manifest says, leaf by leaf."""
    manifest, folder = release.manifest, release.folder
    assert isinstance(manifest, Manifest) and folder is not None  # noqa: S101, PT018 - it was loaded from a bundle
    counts = load_json(folder / VALUES_FOLDER / VALUES, REBUILD)
    return {
        "data": {
            "as_of": manifest.as_of,
            **manifest.data,
            **{name: count for name, count in counts.items() if name.startswith("n_")},
        },
        "code": {"code": manifest.code},
        "params": dict(_leaves(manifest.params)),
        "dimensions": dict(manifest.dimensions),
        "artefacts": dict(_leaves(manifest.artefacts)),
    }


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, OfBoth]:
    pairs = {name: (a.get(name, ABSENT), b.get(name, ABSENT)) for name in sorted(a.keys() | b.keys())}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _compare_features(a: FeatureSchemas, b: FeatureSchemas) -> dict[str, FeatureDifference]:
    differences = {str(entity): _compare_schemas(a.of(entity), b.of(entity)) for entity in Entity}
    return {entity: difference for entity, difference in differences.items() if difference}


def _compare_schemas(a: FeatureSchema, b: FeatureSchema) -> FeatureDifference:
    specs_a, specs_b = ({spec.name: asdict(spec) for spec in schema.features} for schema in (a, b))
    common = [name for name in a.names if name in specs_b]
    changed = {name: _differing(specs_a[name], specs_b[name]) for name in common}
    return FeatureDifference(
        added=tuple(name for name in b.names if name not in specs_a),
        removed=tuple(name for name in a.names if name not in specs_b),
        changed={name: pairs for name, pairs in changed.items() if pairs},
        reordered=common != [name for name in b.names if name in specs_a],
    )


def compare_cards(a: Path, b: Path) -> dict[str, dict[str, tuple[float, float, float]]]:
    """By group and metric, (of A, of B, B - A) where the evaluation cards of two bundles differ.

    What one of them lacks cannot be subtracted, and is left out.
    """
    return _compare_metrics(load_json(a / EVALUATION, REBUILD), load_json(b / EVALUATION, REBUILD))


def _compare_metrics(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, dict[str, tuple[float, float, float]]]:
    changes = {}
    for group in sorted(a.keys() & b.keys(), key=lambda name: (name != "headline", name)):
        if isinstance(a[group], Mapping) and isinstance(b[group], Mapping):
            pairs = {name: (a[group][name], b[group][name]) for name in a[group] if name in b[group]}
            changes[group] = {
                name: (was, now, now - was)
                for name, (was, now) in pairs.items()
                if isinstance(was, int | float) and isinstance(now, int | float) and was != now
            }
    return {group: metrics for group, metrics in changes.items() if metrics}
