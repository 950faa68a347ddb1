"""An artefact on disk: arrays and a `meta.json` that says what it is, what it was built with, and what its bytes are.

    <folder>/meta.json        {"kind", "format_version", "built_with": {name: fingerprint}, "values": {...},
                               "files": {name: fingerprint}}
    <folder>/<name>.npy       one per array; never pickled
    <folder>/<other files>    written before `save_artefact` is called, listed in "files" as well

`meta.json` is written last: a folder without one is unfinished. Loading checks every byte against it before anything
is parsed, and every array's type and shape against what its loader asks for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from contracts.errors import ArtefactError, ReleaseMismatch, ShapeMismatch
from contracts.fingerprint import canonical_json, fingerprint_chunks, fingerprint_file, fingerprint_json
from contracts.json_file import load_json
from contracts.whole_files import write_whole

FORMAT_VERSION = 1
META = "meta.json"
MAPPED_FROM_BYTES = 2**20  # below it a copy costs nothing
# What numpy writes, and nothing else: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
_MAGIC = b"\x93NUMPY\x01\x00"
_PREFIX = struct.Struct("<8sH")
_HEADER = re.compile(
    rb"\{'descr': '(?P<kind>[^']+)', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>[\d, ]{0,80})\), \} *\n"
)
REBUILD = "Run `dvc repro` to build it again, or `dvc checkout` to restore it."


@dataclass(frozen=True)
class Meta:
    """What `meta.json` says. built_with: fingerprints of what it must be used together with."""

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
        path = folder / f"{name}.npy"
        path.unlink(missing_ok=True)  # whoever has mapped it keeps the old one, and this array may be of it
        np.save(path, array, allow_pickle=False)
    files = {path.name: fingerprint_file(path) for path in sorted(folder.iterdir()) if path.is_file()}
    meta = Meta(kind, dict(built_with), dict(values or {}), files)
    content = {"format_version": FORMAT_VERSION, **meta.__dict__}
    write_whole(folder / META, canonical_json(content) + b"\n")
    return meta


def load_meta(folder: Path, kind: str) -> Meta:
    """Read and check `meta.json` and every file it lists.

    Raises ArtefactError when the folder is missing, unfinished, damaged, of another kind or of another format version.
    """
    content = load_json(folder / META, REBUILD, f"{folder} has no {META}: it is missing or unfinished.")
    try:
        version = content["format_version"]
        meta = Meta(content["kind"], dict(content["built_with"]), dict(content["values"]), dict(content["files"]))
    except (TypeError, KeyError, ValueError) as error:
        raise ArtefactError(f"{folder / META} is damaged: {error!r} is missing or malformed.", REBUILD) from error
    if version != FORMAT_VERSION:
        raise ArtefactError(
            f"{folder} is of format version {version!r}; this Slatework reads {FORMAT_VERSION}.",
            "Check out the release it belongs to, or build it again with `dvc repro`.",
        )
    if meta.kind != kind:
        raise ArtefactError(f"{folder} holds a {meta.kind!r}; expected a {kind!r}.", REBUILD)
    for name, expected in meta.files.items():
        _check_bytes(folder, name, expected)
    return meta


def _check_bytes(folder: Path, name: str, expected: str) -> None:
    if Path(name).name != name:
        raise ArtefactError(f"{folder / META} lists {name!r}, which is no plain file name.", REBUILD)
    path = folder / name
    if not path.is_file():
        raise ArtefactError(f"{path} is missing.", REBUILD)
    found = fingerprint_file(path)
    if found != expected:
        raise ArtefactError(f"{path} is damaged: its fingerprint is {found}, {META} says {expected}.", REBUILD)


def load_array(folder: Path, name: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """One array of an artefact; call after `load_meta` has checked the bytes. shape: None where any length will do.

    A large one is mapped, not read: processes that load the same file share its memory, and nobody can write into it.
    So a file of an artefact is never changed in its place.
    Raises ArtefactError, before memory is taken, when the file holds no such array.
    """
    path = folder / f"{name}.npy"
    with reading(path), path.open("rb") as file:
        kind, fortran_order, found = _read_header(file)
        fits = len(found) == len(shape) and all(
            expected in (None, length) for expected, length in zip(shape, found, strict=True)
        )
        expected_type = np.dtype(dtype)
        if kind != expected_type.str or not fits:
            expected = "x".join("any" if length is None else str(length) for length in shape)
            raise ValueError(f"it holds {kind} of shape {found}, expected {expected_type.str} of {expected}")
        n_bytes = path.stat().st_size - file.tell()
        if n_bytes != prod(found) * expected_type.itemsize:
            raise ValueError(f"it holds {n_bytes} bytes behind its header, which promises {found} of {kind}")
        order: Literal["F", "C"] = "F" if fortran_order else "C"
        if n_bytes >= MAPPED_FROM_BYTES:
            # A plain view: slices of a memmap take many times as long.
            return np.asarray(np.memmap(path, expected_type, "r", file.tell(), found, order))
        return np.fromfile(file, expected_type).reshape(found, order=order)


def _read_header(file: BinaryIO) -> tuple[str, bool, tuple[int, ...]]:
    """Type, order and shape of the array that follows; numpy's own reader can be made to divide by a width of zero."""
    head = file.read(_PREFIX.size)
    magic, length = _PREFIX.unpack(head) if len(head) == _PREFIX.size else (head, 0)
    header = _HEADER.fullmatch(file.read(length))
    if magic != _MAGIC or header is None:
        raise ValueError(f"it starts with {head!r}, not like an array")
    shape = tuple(int(length) for length in header["shape"].decode().replace(",", " ").split())
    return header["kind"].decode(), header["fortran"] == b"True", shape


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """Any error that a malformed file or value causes inside becomes an ArtefactError that names its source."""
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError) as error:
        raise _unreadable(source, error) from error
    except (RecursionError, MemoryError, ShapeMismatch) as error:
        raise _unreadable(source, error) from error


def _unreadable(source: Path, error: Exception) -> ArtefactError:
    reason = error.problem if isinstance(error, ShapeMismatch) else f"{type(error).__name__}: {error}"
    return ArtefactError(f"{source} is damaged: {reason}", REBUILD)


def check_built_with(artefact: str, built_with: Mapping[str, str], part: str, expected: str) -> None:
    """Refuse an artefact that was built with another `part` than the one it is used with; both are printed."""
    found = built_with.get(part, "nothing")
    if found != expected:
        raise ReleaseMismatch(
            f"{artefact} was built with {part} {found}, but is used with {part} {expected}.",
            "They belong to different releases. Run `dvc repro`, or check out one release: "
            "`git checkout release/<id> && dvc checkout`.",
        )


def fingerprint_array(array: npt.NDArray[Any]) -> str:
    """The fingerprint of an array's dtype, shape and bytes."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return fingerprint_chunks([array_head(array.dtype, array.shape), content.data])


def array_head(dtype: npt.DTypeLike, shape: tuple[int, ...]) -> bytes:
    """What is hashed before an array's bytes."""
    return f"{np.dtype(dtype).str}{shape}".encode()
