"""MovieLens in every layout it is published in: a folder or a zip, told apart by the files in it."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Final

import polars as pl

from contracts.errors import SourceError
from contracts.tables import USERS_SCHEMA, CanonicalTables
from sources.archives import unpack
from sources.canonical.canonical import canonical_tables
from sources.movielens import layouts


@dataclass(frozen=True)
class Layout:
    """One way MovieLens is published. needed: the files that tell it apart, by pattern; users: of people, if any."""

    name: str
    needed: tuple[str, str]
    users: str | None
    read_interactions: Callable[[Path], pl.DataFrame]
    read_items: Callable[[Path], pl.DataFrame]
    read_users: Callable[[Path], pl.DataFrame] | None


CSV_LAYOUT: Final = "ml-25m"
LAYOUTS = (
    Layout(
        "RecBole's atomic files",
        ("*.inter", "*.item"),
        "*.user",
        layouts.atomic_inter,
        layouts.atomic_item,
        layouts.atomic_user,
    ),
    Layout("ml-100k", ("u.data", "u.item"), "u.user", layouts.u_data, layouts.u_item, layouts.u_user),
    Layout(
        "ml-1m", ("ratings.dat", "movies.dat"), "users.dat", layouts.ratings_dat, layouts.movies_dat, layouts.users_dat
    ),
    Layout(CSV_LAYOUT, ("ratings.csv", "movies.csv"), None, layouts.ratings_csv, layouts.movies_csv, None),
)


def read_movielens(path: Path) -> CanonicalTables:
    """Read a MovieLens folder or zip of any layout; the folder may also be the only one inside `path`.

    Titles come without their year, which becomes `release_year`; ages are the source's (ml-1m: the bucket's lower end).
    Raises SourceError naming file, line and column where the data is not as its layout has it.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise SourceError(f"{path} is neither a folder nor a zip.", "Set ingest.path to a MovieLens folder or zip.")
    with tempfile.TemporaryDirectory(prefix="slatework-") as folder:
        unpack(path, Path(folder), _is_read)
        return _read_folder(Path(folder), path)


def layout_name(path: Path) -> str | None:
    """The layout that a folder or zip has by the names of its files; None where it is not MovieLens.

    Nothing is opened but the list of names.
    """
    if path.is_dir():
        groups = [[file.name for file in folder.iterdir()] for folder in (path, *_only_subfolder(path))]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            groups = [[PurePosixPath(member).name for member in archive.namelist()]]
    else:
        return None
    for names in groups:
        for layout in LAYOUTS:
            if all(any(fnmatch(name, pattern) for name in names) for pattern in layout.needed):
                return layout.name
    return None


def _is_read(member: PurePosixPath) -> bool:
    return any(member.match(pattern) for layout in LAYOUTS for pattern in (*layout.needed, layout.users) if pattern)


def _read_folder(folder: Path, shown_as: Path | None = None) -> CanonicalTables:
    for candidate in (folder, *_only_subfolder(folder)):
        for layout in LAYOUTS:
            if all(_find(candidate, pattern) for pattern in layout.needed):
                return _read_layout(candidate, layout)
    known = "; ".join(f"{' and '.join(layout.needed)} ({layout.name})" for layout in LAYOUTS)
    raise SourceError(
        f"{shown_as or folder} holds no MovieLens data; expected one of: {known}.",
        "Set ingest.path to the folder or zip as GroupLens publishes it.",
    )


def _only_subfolder(folder: Path) -> list[Path]:
    """The one folder inside, where there is just one: archives are often unpacked into a folder of their own."""
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name != "__MACOSX"]
    return inside if len(inside) == 1 else []


def _find(folder: Path, pattern: str) -> Path | None:
    paths = sorted(folder.glob(pattern))
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise SourceError(f"{folder} holds {len(paths)} files {pattern}: {names}; expected one.", "Remove the others.")
    return paths[0] if paths else None


def _read_layout(folder: Path, layout: Layout) -> CanonicalTables:
    interactions, items = (_find(folder, pattern) or folder / pattern for pattern in layout.needed)
    users = _find(folder, layout.users) if layout.users else None
    return canonical_tables(
        layout.read_interactions(interactions),
        layout.read_items(items),
        layout.read_users(users) if users and layout.read_users else pl.DataFrame(schema=USERS_SCHEMA),
    )
