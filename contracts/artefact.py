"""An artefact on disk: arrays and a `meta.json` that says what it is, what it was built with, and what its bytes are.

    <folder>/meta.json        {"kind", "format_version", "built_with": {name: fingerprint}, "values": {...},
                               "files": {name: fingerprint}}
    <folder>/<name>.npy       one per array; never pickled
    <folder>/<other files>    written by the artefact itself before `seal`, listed in "files" as well

`meta.json` is written last: a folder without one is unfinished. Loading checks every byte against it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.errors import ArtefactError, ReleaseMismatch
from contracts.fingerprint import canonical_json, fingerprint_bytes, fingerprint_file, fingerprint_json

FORMAT_VERSION = 1
META = "meta.json"


@dataclass(frozen=True)
class Meta:
    """What an artefact says of itself. built_with: fingerprints of what it must be used together with."""

    kind: str
    built_with: dict[str, str]
    values: dict[str, Any]
    files: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """One name for the artefact's whole content."""
        return fingerprint_json(
            {"kind": self.kind, "built_with": self.built_with, "values": self.values, "files": self.files}
        )


def save_artefact(
    folder: Path,
    kind: str,
    *,
    built_with: Mapping[str, str],
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    values: Mapping[str, Any] | None = None,
) -> Meta:
    """Write arrays (`<name>.npy`) and then `meta.json`, which also covers the files already in the folder.

    values: anything JSON can say. Returns what was written as meta.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / META).unlink(missing_ok=True)
    for name, array in (arrays or {}).items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    files = {path.name: fingerprint_file(path) for path in sorted(folder.iterdir()) if path.is_file()}
    meta = Meta(kind, dict(built_with), dict(values or {}), files)
    content = {"format_version": FORMAT_VERSION, **meta.__dict__}
    unfinished = folder / (META + ".part")
    unfinished.write_bytes(canonical_json(content) + b"\n")
    unfinished.replace(folder / META)
    return meta


def load_meta(folder: Path, kind: str) -> Meta:
    """Read and check `meta.json` and every file it lists.

    Raises ArtefactError when the folder is missing, unfinished, damaged, of another kind or of another format version.
    """
    rebuild = "Run `dvc repro` to build it again, or `dvc checkout` to restore it."
    try:
        content = json.loads((folder / META).read_bytes())
    except FileNotFoundError as error:
        raise ArtefactError(f"{folder} has no {META}: it is missing or unfinished.", rebuild) from error
    except (ValueError, RecursionError) as error:
        raise ArtefactError(f"{folder / META} is damaged: {error}", rebuild) from error
    try:
        version = content["format_version"]
        meta = Meta(content["kind"], dict(content["built_with"]), dict(content["values"]), dict(content["files"]))
    except (TypeError, KeyError, ValueError) as error:
        raise ArtefactError(f"{folder / META} is damaged: {error!r} is missing or malformed.", rebuild) from error
    if version != FORMAT_VERSION:
        raise ArtefactError(
            f"{folder} is of format version {version!r}; this Slatework reads {FORMAT_VERSION}.",
            "Check out the release it belongs to, or build it again with `dvc repro`.",
        )
    if meta.kind != kind:
        raise ArtefactError(f"{folder} holds a {meta.kind!r}; expected a {kind!r}.", rebuild)
    for name, expected in meta.files.items():
        _check_bytes(folder, name, expected, rebuild)
    return meta


def _check_bytes(folder: Path, name: str, expected: str, rebuild: str) -> None:
    if Path(name).name != name:
        raise ArtefactError(f"{folder / META} lists {name!r}, which is no plain file name.", rebuild)
    path = folder / name
    if not path.is_file():
        raise ArtefactError(f"{path} is missing.", rebuild)
    found = fingerprint_file(path)
    if found != expected:
        raise ArtefactError(f"{path} is damaged: its fingerprint is {found}, {META} says {expected}.", rebuild)


def load_array(folder: Path, name: str) -> npt.NDArray[Any]:
    """One array of an artefact, memory-mapped read-only; call after `load_meta` has checked the bytes."""
    try:
        array: npt.NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{folder / name}.npy is no readable array: {error}", "Run `dvc repro` to build it again."
        ) from error
    return array


def check_built_with(artefact: str, meta: Meta, part: str, expected: str) -> None:
    """Refuse an artefact that was built with another `part` than the one it is used with; both are printed."""
    found = meta.built_with.get(part, "nothing")
    if found != expected:
        raise ReleaseMismatch(
            f"{artefact} was built with {part} {found}, but is used with {part} {expected}.",
            "They belong to different releases. Run `dvc repro`, or check out one release: "
            "`git checkout release/<id> && dvc checkout`.",
        )


def fingerprint_array(array: npt.NDArray[Any]) -> str:
    """The fingerprint of an array's dtype, shape and bytes."""
    head = array_head(array.dtype, array.shape)
    return fingerprint_bytes(head + np.ascontiguousarray(array).tobytes())


def array_head(dtype: npt.DTypeLike, shape: tuple[int, ...]) -> bytes:
    """What is hashed before an array's bytes."""
    return f"{np.dtype(dtype).str}{shape}".encode()
