"""The manifest of a bundle: what a release is made of, and the name that follows from it.

`manifest.json` is written last; without one there is no release. Its `release_id` is the hash of everything else in
it, and `files` covers every byte of the bundle, so that one id stands for all of it. Clock, host, paths, MLflow ids
and the git commit never enter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.fingerprint import canonical_json, fingerprint_file, fingerprint_json
from contracts.json_file import load_json, write_json

FORMAT_VERSION: Final = 6
READABLE_VERSIONS: Final = (1, 2, 3, 4, 5, FORMAT_VERSION)
TYPED_SINCE_VERSION: Final = 3  # histories tell of what type each event is
MANIFEST: Final = "manifest.json"
VALUES_FOLDER: Final = "values"  # of a bundle: its own generation, the first
ID_LENGTH: Final = 12  # hex digits: 48 bits, short enough to read aloud, no chance collision among millions of releases
RELEASE_ID: Final = re.compile(rf"r-[0-9a-f]{{{ID_LENGTH}}}")
REBUILD: Final = (
    "Build it again with `dvc repro release`, or restore it: `git checkout release/<id>`, then `dvc checkout`."
)


@dataclass(frozen=True)
class Manifest:
    """What a release is made of; the field names are the keys of manifest.json.

    data, code: fingerprints of the canonical tables and of the sources; params: the parameters that were read;
    features: names in the order of a row, per entity; artefacts: fingerprints of what is `shipped` (fitted to the
    end of the data) and `measured` (fitted before the test window); files: fingerprint of every file of the bundle;
    golden: number of golden queries; metrics: the headline of the evaluation. format_version: of the bundle's layout.
    """

    app: str
    generation_id: str
    as_of: str
    data: dict[str, str]
    code: str
    params: dict[str, Any]
    features: dict[str, list[str]]
    dimensions: dict[str, int]
    artefacts: dict[str, dict[str, str]]
    golden: int
    metrics: dict[str, Any]
    files: dict[str, str] = field(repr=False)
    format_version: int = FORMAT_VERSION

    @property
    def release_id(self) -> str:
        """`r-` and 12 hex digits that follow from the content alone."""
        return "r-" + fingerprint_json(self._content())[:ID_LENGTH]

    @property
    def moment(self) -> datetime:
        """The end of the release's data, timezone-aware."""
        return datetime.fromisoformat(self.as_of)

    def to_json(self) -> dict[str, Any]:
        return {"release_id": self.release_id, **self._content()}

    def _content(self) -> dict[str, Any]:
        return {part.name: getattr(self, part.name) for part in fields(self)}

    def save(self, folder: Path) -> None:
        """Write manifest.json in one step: a killed writer leaves none."""
        write_json(self.to_json(), folder / MANIFEST)


def list_files(folder: Path) -> dict[str, str]:
    """The fingerprint of every file below a bundle folder but the manifest itself, by relative name.

    Raises ArtefactError for what is neither file nor folder: a pipe or a device would be read forever.
    """
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    for path in paths:
        if not path.is_file():
            raise ArtefactError(f"{path} is no file; a bundle holds files and folders alone.", REBUILD)
    names = (path.relative_to(folder).as_posix() for path in paths)
    return {name: fingerprint_file(folder / name) for name in names if name != MANIFEST}


def load_manifest(folder: Path) -> Manifest:
    """Read manifest.json and check that its release id follows from its content.

    Raises ArtefactError when it is missing, damaged or of a format version that cannot be read, ReleaseMismatch when
    the id differs.
    """
    missing = f"{folder} has no {MANIFEST}: it is missing, unfinished or no bundle."
    content = load_json(folder / MANIFEST, REBUILD, missing)
    version = content.get("format_version")
    if version not in READABLE_VERSIONS or isinstance(version, bool):
        raise ArtefactError(
            f"{folder} is a bundle of format version {version!r}; this Slatework reads versions "
            f"{', '.join(str(one) for one in READABLE_VERSIONS)}.",
            "Serve it with the code it was made with (`git checkout release/<id>`), "
            "or build a release with this code: `dvc repro release`.",
        )
    manifest = _from_json(folder, content)
    if manifest.release_id != content.get("release_id"):
        raise ReleaseMismatch(
            f"{folder / MANIFEST} calls itself {content.get('release_id')}, but its content is {manifest.release_id}.",
            f"It was changed after it was built. {REBUILD}",
        )
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file of the bundle with the manifest.

    Raises ReleaseMismatch naming the first file that is missing, extra or different, with both fingerprints.
    """
    actual_files = list_files(folder)
    for name in sorted(actual_files.keys() | manifest.files.keys()):
        expected, actual = manifest.files.get(name, "no such file"), actual_files.get(name, "no such file")
        if actual != expected:
            raise ReleaseMismatch(
                f"{folder / name}: {MANIFEST} of {manifest.release_id} says {expected}, found {actual}.", REBUILD
            )


def _from_json(folder: Path, content: dict[str, Any]) -> Manifest:
    from pydantic import TypeAdapter  # noqa: PLC0415 - a rollback, which asks where a bundle lies, need not wait for it

    known = {part.name for part in fields(Manifest)}
    missing = sorted(known - content.keys())
    unknown = sorted(content.keys() - known - {"release_id"})
    if missing or unknown:
        raise ArtefactError(f"{folder / MANIFEST} is damaged: missing {missing}, unknown {unknown}.", REBUILD)
    try:
        manifest = TypeAdapter(Manifest).validate_json(
            canonical_json({name: content[name] for name in known}), strict=True
        )
        aware = datetime.fromisoformat(manifest.as_of).tzinfo is not None
    except (TypeError, ValueError) as error:
        raise ArtefactError(f"{folder / MANIFEST} is damaged: {error}", REBUILD) from error
    if not aware:
        raise ArtefactError(f"{folder / MANIFEST} is damaged: as_of {manifest.as_of!r} has no time zone.", REBUILD)
    return manifest
