"""Bundles whose fingerprints were all rewritten after something in them was changed: what a forger can do at most."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contracts.artefact import META, Meta
from contracts.fingerprint import canonical_json, fingerprint_file, fingerprint_json
from contracts.settings.index import IndexSettings
from feature_store.values.values import load_schemas
from recommender.generators.sets import load_generators
from recommender.index.vector_index import VectorIndex
from release.bundle.bundle import FittedArtefacts
from release.bundle.manifest import MANIFEST, list_files
from release.bundle.parts import BUILT_WITH, name_parts

HNSW = IndexSettings(
    kind="hnsw", exact_below=1, hnsw_links=4, hnsw_ef_construction=16, hnsw_ef_search=16, recall_k=5, min_recall=0.1
)


def with_hnsw(bundle: Path) -> None:
    """Give the release that is shipped an HNSW index of the same vectors."""
    generators = load_generators(bundle / "candidates")
    als: Any = generators.by_name["als"]
    VectorIndex.build(als.item_factors, generators.catalogue.ids, HNSW).save(bundle / "index")


def forge(bundle: Path) -> None:
    """Rewrite every fingerprint, from the files up to the manifest, so that all of them agree again."""
    for folder in (bundle, bundle / "measured"):
        fit = FittedArtefacts.below(folder)
        generators = json.loads((fit.candidates / META).read_bytes())
        named = {part.parent.name: _reseal(part.parent) for part in sorted(fit.candidates.glob(f"*/{META}"))}
        generators[BUILT_WITH] = named
        _write(fit.candidates / META, generators)
        _reseal(fit.index)
        ranker = json.loads((fit.ranking / META).read_bytes())
        ranker[BUILT_WITH]["generators"] = _reseal(fit.candidates)
        ranker[BUILT_WITH]["feature schemas"] = load_schemas(bundle / "features").fingerprint
        _write(fit.ranking / META, ranker)
        _reseal(fit.ranking)
    _reseal(bundle / "catalogue")
    for name in ("rules.json", "evaluation.json"):
        card = json.loads((bundle / name).read_bytes())
        card.pop(BUILT_WITH, None)
        (bundle / name).write_text(json.dumps(card))
    name_parts(bundle)
    _forge_manifest(bundle)


def _forge_manifest(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    manifest["files"] = list_files(bundle)
    manifest["artefacts"] = {
        "shipped": FittedArtefacts.below(bundle).fingerprints,
        "measured": FittedArtefacts.below(bundle / "measured").fingerprints,
    }
    manifest["generation_id"] = json.loads((bundle / "values" / "values.json").read_bytes())["generation_id"]
    content = {name: value for name, value in manifest.items() if name != "release_id"}
    (bundle / MANIFEST).write_text(json.dumps({**content, "release_id": "r-" + fingerprint_json(content)[:12]}))


def _reseal(folder: Path) -> str:
    content = json.loads((folder / META).read_bytes())
    content["files"] = {name: fingerprint_file(folder / name) for name in content["files"] if (folder / name).is_file()}
    _write(folder / META, content)
    return Meta(content["kind"], content[BUILT_WITH], content["values"], content["files"]).fingerprint


def _write(path: Path, content: object) -> None:
    path.write_bytes(canonical_json(content) + b"\n")
