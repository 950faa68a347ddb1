"""The parts of a bundle: what tells a mixed one from a whole one.

Artefacts name what they were built with, and their loaders compare. That leaves what nobody loads together with the
rest: values, rules, the evaluation card, what was measured. The golden queries are made last, with all of it at hand,
and `golden/queries.json` names every other part by its fingerprint in `built_with`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from contracts.artefact import reading
from contracts.errors import ReleaseMismatch
from contracts.fingerprint import fingerprint_json
from contracts.json_file import load_json, write_json
from release.bundle.manifest import REBUILD, Manifest, check_files, list_files, load_manifest

GOLDEN: Final = "golden"
QUERIES: Final = "queries.json"
BUILT_WITH: Final = "built_with"
# Bundles of the versions before were made without it.
NAMED_SINCE_VERSION: Final = 2


def check_whole(folder: Path) -> Manifest:
    """The manifest of a bundle, after every byte was compared with it and every part with what the golden queries name.

    Nothing but JSON is parsed. Raises ArtefactError when the manifest is missing, damaged or of another format version;
    ReleaseMismatch, with both fingerprints, when a file or a part is of another build.
    """
    manifest = load_manifest(folder)
    check_contents(folder, manifest)
    return manifest


def check_contents(folder: Path, manifest: Manifest) -> None:
    """As `check_whole`, where the manifest was read already."""
    check_files(folder, manifest)
    _check_parts(folder, manifest)


def part_fingerprints(files: Mapping[str, str]) -> dict[str, str]:
    """By part, one fingerprint for all its files; files: as in the manifest.

    A part is what stands at the top of a bundle, and the values that the golden queries carry.
    """
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for name, fingerprint in files.items():
        top, *below = name.split("/")
        part = f"{top}/{below[0]}" if top == GOLDEN and below else top
        parts[part][name] = fingerprint
    return {part: fingerprint_json(held) for part, held in parts.items() if part != f"{GOLDEN}/{QUERIES}"}


def name_parts(folder: Path) -> None:
    """Write into the golden queries of an unfinished bundle which parts they were made with; nothing may come after."""
    queries = folder / GOLDEN / QUERIES
    content = {**load_json(queries, REBUILD), BUILT_WITH: part_fingerprints(list_files(folder))}
    write_json(content, queries, allow_nan=False)


def _check_parts(folder: Path, manifest: Manifest) -> None:
    queries, actual = folder / GOLDEN / QUERIES, part_fingerprints(manifest.files)
    named = load_json(queries, REBUILD).get(BUILT_WITH)
    if named is None and manifest.format_version < NAMED_SINCE_VERSION:
        return
    with reading(queries):
        expected = dict(named or {})
    for part in sorted(actual.keys() | expected.keys()):
        here, there = actual.get(part, "missing"), expected.get(part, "nothing")
        if here != there:
            raise ReleaseMismatch(
                f"{folder / part} is {here}, but the golden queries were made with {part} {there}.",
                f"They belong to different releases. {REBUILD}",
            )
