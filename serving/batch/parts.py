"""The folder that slates for everybody are written into, a part at a time, so that a run that was stopped goes on.

    <out>/batch.json          what the slates are of, and once all are there how many
    <out>/part-000000.parquet SLATE_SCHEMA; people in the order of their ids, each one's items by position

A part is there whole or not at all. What a folder holds is of one release, generation, moment and length.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from contracts.errors import ArtefactError, WrongInput
from contracts.json_file import load_json, write_json
from contracts.tables import write_parquet

HEADER = "batch.json"
FORMAT = 1
SLATE_SCHEMA = pl.Schema(
    {
        "user_id": pl.String(),
        "position": pl.Int32(),
        "item_id": pl.String(),
        "score": pl.Float32(),
        "source": pl.String(),
        "tier": pl.String(),
        "release_id": pl.String(),
        "generation_id": pl.String(),
    }
)


@dataclass(frozen=True)
class BatchHeader:
    """What the slates of a folder are of.

    now: the moment at which all of them are asked for; people: the fingerprint of the list of people, None for
    everybody; people_per_part: how many a part is made of; n_people, n_rows: None until all parts are there; filter:
    what every item satisfies, as JSON, None where nothing was asked for; n_guests, n_unknown: of those asked for, the
    guests, and those of `people` of whom the generation knows nothing; None as for n_people, and in older folders;
    placement: where they are shown, None for home.
    """

    release_id: str
    generation_id: str
    now: datetime
    k: int
    people: str | None
    people_per_part: int
    n_people: int | None = None
    n_rows: int | None = None
    format: int = FORMAT
    filter: str | None = None
    n_guests: int | None = None
    n_unknown: int | None = None
    placement: str | None = None

    @property
    def is_whole(self) -> bool:
        return self.n_people is not None

    def save(self, folder: Path) -> None:
        """Write `batch.json`."""
        content = {**asdict(self), "now": self.now.isoformat()}
        write_json(content, folder / HEADER)

    @classmethod
    def load(cls, folder: Path) -> BatchHeader | None:
        """What `save` wrote, None where nothing was begun; raises ArtefactError when it is damaged."""
        if not (folder / HEADER).exists():
            return None
        next_step = f"Remove {folder}, or name another folder."
        value = load_json(folder / HEADER, next_step)
        try:
            header = cls(**{**value, "now": datetime.fromisoformat(value["now"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{folder / HEADER} is damaged: {error}.", next_step) from error
        if header.format != FORMAT:
            raise ArtefactError(
                f"{folder / HEADER} has format {header.format}; this Slatework writes {FORMAT}.", next_step
            )
        return header


def begun(folder: Path, wanted: BatchHeader) -> BatchHeader:
    """The header of the folder: the one that is there, if it is of what is wanted, or else this one, written.

    What is there keeps its moment. Raises WrongInput when the folder holds other slates, or files of somebody else's.
    """
    there = BatchHeader.load(folder)
    if there is None:
        if folder.exists() and any(folder.iterdir()):
            raise WrongInput(f"{folder} is not empty, and holds no {HEADER}.", "Name a folder that is new or empty.")
        folder.mkdir(parents=True, exist_ok=True)
        wanted.save(folder)
        return wanted
    counts = {name: getattr(there, name) for name in ("n_people", "n_rows", "n_guests", "n_unknown")}
    same = replace(wanted, now=there.now, **counts)
    for name, held, asked in zip(asdict(there), asdict(there).values(), asdict(same).values(), strict=True):
        if held != asked:
            raise WrongInput(
                f"{folder} holds slates of {name} {held}; asked for is {asked}.",
                "Name another folder, or remove this one.",
            )
    return there


def part_path(folder: Path, number: int) -> Path:
    """Where a part lies, counted from 0."""
    return folder / f"part-{number:06}.parquet"


def write_part(folder: Path, number: int, slates: pl.DataFrame) -> None:
    """Write a part whole; slates: SLATE_SCHEMA. Raises OSError, with the file's name, when the disk refuses."""
    write_parquet(slates, part_path(folder, number))


def count_rows(folder: Path) -> tuple[int, int]:
    """(people, rows) of all parts that are there; raises ArtefactError naming one that is damaged."""
    n_people = n_rows = 0
    for part in sorted(folder.glob("part-*.parquet")):
        try:
            of_part = pl.scan_parquet(part).select((pl.col("position") == 1).sum(), rows=pl.len()).collect()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise ArtefactError(
                f"{part} is damaged: {error}", "Remove it, and run the same command again: it is written anew."
            ) from error
        people, rows = of_part.row(0)
        n_people, n_rows = n_people + int(people), n_rows + int(rows)
    return n_people, n_rows
