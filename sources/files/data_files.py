"""Finds the data files of an export (a file, a folder, a pattern or a URL), and opens each as plain bytes."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from contracts.errors import SourceError
from contracts.settings.files import Format

FORMATS: dict[str, Format] = {
    ".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel", ".xls": "excel",
}  # fmt: skip
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
# Logs compress to a fiftieth at best. Small files are no danger, however much they expand.
MAX_EXPANSION = 200
HARMLESS_BYTES = 256 * 2**20
N_SHOWN = 10


@dataclass(frozen=True)
class DataFile:
    """One file of an export. path: on its file system; name: below the folder it was found in, for people."""

    fs: Any
    path: str
    name: str

    @property
    def format(self) -> Format | None:
        """The format by the ending of the name; None where the ending is unknown."""
        name = PurePosixPath(self.name)
        return FORMATS.get((name.with_suffix("") if self.compression else name).suffix.lower())

    @property
    def compression(self) -> str | None:
        return COMPRESSIONS.get(PurePosixPath(self.name).suffix.lower())

    @property
    def partitions(self) -> dict[str, str]:
        """Column values in the names of hive-style folders: `day=2024-01-31/x.csv` has `day`."""
        pairs = (part.split("=", 1) for part in PurePosixPath(self.name).parts[:-1] if "=" in part)
        return dict(pairs)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The content, decompressed as it is read.

        Raises SourceError, also while it is read, when the file is cut short or damaged, or expands beyond reason.
        """
        with self._plain() as raw, _read_errors(self.name):
            if self.compression is None:
                yield raw
                return
            allowed = max(HARMLESS_BYTES, MAX_EXPANSION * int(self.fs.size(self.path) or 0))
            expanded = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), self.compression)
            with io.BufferedReader(_BoundedStream(expanded, allowed, self.name), 1 << 20) as stream:
                yield stream

    @contextmanager
    def _plain(self) -> Iterator[BinaryIO]:
        if isinstance(self.fs, LocalFileSystem) and Path(self.path).exists() and not Path(self.path).is_file():
            # Opening a pipe waits until somebody writes into it.
            raise SourceError(f"{self.name} is no plain file.", "Take it away, or write its content into a file.")
        try:
            raw = self.fs.open(self.path, "rb")
        except (OSError, ValueError) as error:
            raise SourceError(
                f"{self.name} cannot be opened: {error}.", "Look whether it is there and readable."
            ) from error
        with raw:
            yield raw


@contextmanager
def _read_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk
        raise SourceError(
            f"{name} cannot be read to its end: {error}.",
            "It was cut short or damaged on the way. Export or copy it again, and compare the sizes.",
        ) from error


class _BoundedStream(io.RawIOBase):
    """A stream that raises once more bytes came than are plausible."""

    def __init__(self, stream: Any, allowed: int, name: str) -> None:
        self._stream = stream
        self._allowed = allowed
        self._left = allowed
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._stream.read(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise SourceError(
                f"{self._name} expands to more than {self._allowed:,} bytes, which is not plausible for its size.",
                "Do not use this file; get it from where it came, or decompress it yourself if you know what it is.",
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)


def is_url(path: str) -> bool:
    """Whether a path names its file system, like `s3://bucket/folder`."""
    return "://" in path


def find_files(root: str, path: str) -> list[DataFile]:
    """The data files at `path` (a file, a folder with all below it, or a pattern) inside `root`, by name.

    Either may be a URL; where `path` is one, `root` does not matter. Hidden files in folders and patterns are left out,
    and those with an unknown ending. Raises SourceError where nothing is found.
    """
    whole = path if is_url(path) or path.startswith("/") else f"{root.rstrip('/')}/{path}"
    fs, location = _file_system(whole)
    location = location.rstrip("/").removesuffix("/.")
    if fs.isfile(location):
        return [_data_file(fs, location, below=_above_partitions(str(PurePosixPath(location).parent)))]
    base = _above_partitions(location) if fs.isdir(location) else _before_pattern(location)
    paths = fs.find(location) if fs.isdir(location) else [one for hit in fs.glob(location) for one in _below(fs, hit)]
    files = [_data_file(fs, one, below=base) for one in sorted(set(paths))]
    data = [file for file in files if file.format and not _is_hidden(file.name)]
    if not data:
        is_there = fs.isdir(location)
        problem = "holds no data file" if is_there else "is not there, or holds no data file"
        raise SourceError(f"{whole} {problem}; found {_listing(fs, base)}.", _path_advice(path))
    return data


def _data_file(fs: Any, path: str, below: str) -> DataFile:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        name = os.fsencode(path)
        raise SourceError(f"{name!r} is no name in UTF-8.", "Rename the file or folder, and run it again.") from error
    return DataFile(fs, path, path.removeprefix(below).lstrip("/"))


def _file_system(whole: str) -> tuple[Any, str]:
    try:
        fs, location = fsspec.core.url_to_fs(whole)
    except (ImportError, ValueError) as error:
        raise SourceError(
            f"{whole} cannot be opened: {error}.", "Install what fsspec names there, or copy the data to a folder."
        ) from error
    return fs, str(location)


def _above_partitions(folder: str) -> str:
    """The folder above the hive-style ones, such as `day=2024-01-31`."""
    path = PurePosixPath(folder)
    while "=" in path.name:
        path = path.parent
    return str(path)


def _below(fs: Any, path: str) -> list[str]:
    return list(fs.find(path)) if fs.isdir(path) else [path]


def _before_pattern(location: str) -> str:
    parts = PurePosixPath(location).parts
    plain = [part for index, part in enumerate(parts) if not any(set(one) & set("*?[") for one in parts[: index + 1])]
    return str(PurePosixPath(*(plain if len(plain) < len(parts) else plain[:-1])))


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def _listing(fs: Any, folder: str) -> str:
    if not fs.isdir(folder):
        return "no such file or folder"
    names = sorted(PurePosixPath(one).name for one in fs.ls(folder, detail=False))
    return ", ".join(names[:N_SHOWN]) + (", ..." if len(names) > N_SHOWN else "") or "an empty folder"


def _path_advice(path: str) -> str:
    endings = ", ".join(FORMATS)
    return (
        f"Mend the path `{path}` under ingest in params.yaml; data files end in {endings}, each also with .gz or .zst."
    )


def local_root(path: str, checkout: Path) -> str:
    """`ingest.path` as an absolute path, or the URL it is."""
    return path if is_url(path) else str((checkout / path).resolve())
