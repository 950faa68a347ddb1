"""Zip archives from elsewhere: every member is checked first, then only the wanted files are unpacked."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from contracts.errors import SourceError

# Text compresses to a fifth at best in every GroupLens set; a bomb to a thousandth. Small archives are no danger.
MAX_EXPANSION = 50
HARMLESS_BYTES = 64 * 2**20


def unpack(archive: Path, target: Path, wanted: Callable[[PurePosixPath], bool]) -> None:
    """Write the wanted members of a zip into `target`, keeping their folders.

    Raises SourceError when the archive is damaged or cut short, when any member (wanted or not) would land outside the
    folder or is a link, or when it would expand beyond reason.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = [member for member in content.infolist() if not member.is_dir()]
            _check_members(archive, members)
            for member in members:
                if wanted(PurePosixPath(member.filename)):
                    _write(content, member, target / member.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # zipfile raises RuntimeError for a member under a password.
        raise SourceError(
            f"{archive} cannot be unpacked: {error}.",
            "It was cut short or damaged on the way. Download it again, and compare its size with the publisher's.",
        ) from error


def _write(content: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with content.open(member) as source, path.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _check_members(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        if _leaves_the_folder(member):
            raise SourceError(
                f"{archive} holds a member {member.filename!r} that points outside its folder.",
                "Do not use this archive; get it from its publisher.",
            )
    twice = [name for name, count in Counter(member.filename for member in members).items() if count > 1]
    if twice:
        raise SourceError(
            f"{archive} holds {twice[0]!r} more than once; only one of them could be read.", "Pack it again."
        )
    size = sum(member.file_size for member in members)
    # zipfile reads no more of a member than it declares, so the declared sizes are the truth.
    allowed = max(HARMLESS_BYTES, MAX_EXPANSION * archive.stat().st_size)
    if size > allowed:
        raise SourceError(
            f"{archive} would expand to {size:,} bytes; at most {allowed:,} are plausible for its size.",
            "Do not use this archive; get it from its publisher, or unpack it yourself and name the folder instead.",
        )


def _leaves_the_folder(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    return is_link or path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in path.parts[0]
