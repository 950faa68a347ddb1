"""MovieLens from GroupLens' public address: fetched once when asked for by name, checked, and kept under SLATE_HOME."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import fsspec

from contracts.errors import HashMismatch, SourceError, SourceUnavailable
from contracts.file_lock import locked
from contracts.home import Home
from contracts.progress import Progress
from contracts.settings.ingest import MovieLensName
from contracts.whole_files import whole_file
from sources.archives import unpack

ADDRESS = "https://files.grouplens.org/datasets/movielens"
# Of the sets that grow with time GroupLens publishes no checksum; those are checked as archives alone.
WITHOUT_CHECKSUM: frozenset[MovieLensName] = frozenset({"ml-latest-small"})
CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60  # without a byte
TERMS = """\
MovieLens was collected by GroupLens, University of Minnesota (F. M. Harper and J. A. Konstan, The MovieLens Datasets:
History and Context, ACM TiiS 5(4), 2015). The README inside the archive says what may be done with it: research, no
commercial use without GroupLens' permission. Slatework keeps it under SLATE_HOME and never commits it.
"""


def fetch_movielens(name: MovieLensName, home: Home, address: str = ADDRESS) -> Path:
    """The zip of a MovieLens set under SLATE_HOME/downloads; downloaded from below `address` unless it is there.

    Raises SourceError when it cannot be fetched, HashMismatch when it is not what GroupLens' checksum says; nothing
    is left then.
    """
    archive = home.downloads / f"{name}.zip"
    home.downloads.mkdir(parents=True, exist_ok=True)
    with locked(home.downloads / f"{name}.lock"):
        if not archive.exists():
            sys.stderr.write(TERMS)
            _download(name, archive, f"{address}/{name}.zip")
    return archive


def _download(name: MovieLensName, archive: Path, url: str) -> None:
    with whole_file(archive) as unfinished:
        expected = None if name in WITHOUT_CHECKSUM else _published_md5(url, archive)
        found = _copy(url, unfinished, archive)
        if expected is not None and found != expected:
            raise HashMismatch(
                f"{url} is not what its checksum says.\n  found md5    {found}\n  expected md5 {expected}",
                "Run again; if the error stays, something alters the download on the way.",
            )
        unpack(unfinished, unfinished, lambda _: False)  # checks every member, and writes none


def _published_md5(url: str, archive: Path) -> str:
    """GroupLens writes it as `MD5 (ml-1m.zip) = c4d9...` or as md5sum does, hash first."""
    with _opened(f"{url}.md5", archive) as file:
        text = bytes(file.read(1000)).decode("ascii", errors="replace")
    hashes = [word for word in text.split() if len(word) == 32 and set(word.lower()) <= set("0123456789abcdef")]
    if len(hashes) != 1:
        raise SourceError(f"{url}.md5 holds no checksum: {text[:100]!r}.", _by_hand(archive))
    return hashes[0].lower()


def _copy(url: str, target: Path, archive: Path) -> str:
    """Download, and return the MD5 of what came."""
    digest = hashlib.md5(usedforsecurity=False)
    with (
        _opened(url, archive) as source,
        target.open("wb") as file,
        Progress(total=getattr(source, "size", None), desc=archive.name, unit="B", unit_scale=True) as bar,
    ):
        while chunk := _read(source, url, archive):
            digest.update(chunk)
            file.write(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _opened(url: str, archive: Path) -> Any:
    from aiohttp import ClientError, ClientTimeout  # noqa: PLC0415 - half a second that only a download needs

    timeout = ClientTimeout(total=None, sock_connect=TIMEOUT_SECONDS, sock_read=TIMEOUT_SECONDS)
    try:
        return fsspec.open(url, "rb", client_kwargs={"timeout": timeout}).open()
    except (OSError, ClientError, ValueError) as error:
        raise _unreachable(url, archive, error) from error


def _read(source: Any, url: str, archive: Path) -> bytes:
    from aiohttp import ClientError  # noqa: PLC0415

    try:
        return bytes(source.read(CHUNK_BYTES))
    except (OSError, ClientError, ValueError) as error:
        raise _unreachable(url, archive, error) from error


def _unreachable(url: str, archive: Path, error: Exception) -> SourceUnavailable:
    return SourceUnavailable(f"{url} cannot be fetched: {type(error).__name__}: {error}.", _by_hand(archive))


def _by_hand(archive: Path) -> str:
    return (
        f"Run again where there is a network, or copy {archive.name} from another machine into {archive.parent}, or "
        "set ingest.name to null and ingest.path to a MovieLens folder or zip."
    )
