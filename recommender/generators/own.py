"""A team's own generators: classes in the project's folder that params.yaml names, as package.module:Class.

They keep the promise of base.py, as all others do, and are held to it whenever they are asked. What they have learnt is
arrays, saved and loaded for them.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, reading, save_artefact
from contracts.errors import SettingsError, SlateworkError
from contracts.fingerprint import fingerprint_file, fingerprint_json
from contracts.ids import FloatArray, ItemIdxArray
from contracts.settings.candidates import NAME, NAME_RULE
from contracts.stage_code import code_files
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries, FitInputs
from recommender.proposals import Proposals
from recommender.query import QueryBatch
from recommender.ragged import ITEM_BITS, RaggedItems, is_among, pair_keys

WHAT_TO_DO = "docs/own-generator.md has an example that works; mend candidates.own in params.yaml, or the class."
KINDS_OF_NUMBERS = "biuf"  # what arrays may hold, as NumPy calls it: no objects, so no pickle

Arrays = Mapping[str, npt.NDArray[Any]]


class OwnGenerator(ABC):
    """A generator of a team's own: give it a name, what it learns, and what it makes of queries.

    name: as in `request.quotas`. arrays: what `learn` gave, as it was fitted or as it was loaded.
    """

    name: ClassVar[str]

    def __init_subclass__(cls, **named: Any) -> None:
        """What `encode` of the class gives is held to its promise, whoever asks; see CheckedEncoding."""
        super().__init_subclass__(**named)
        cls.encode = _checked(cls.encode)  # type: ignore[assignment, method-assign]

    def __init__(self, catalogue: Catalogue, arrays: Arrays) -> None:
        self.catalogue = catalogue
        self.arrays = dict(arrays)

    @classmethod
    @abstractmethod
    def learn(cls, inputs: FitInputs) -> Arrays:
        """All that is kept of what happened, as arrays of numbers by name; equal inputs give equal bytes."""

    @abstractmethod
    def encode(self, queries: QueryBatch) -> EncodedQueries:
        """As base.py says."""

    @classmethod
    def fit(cls, inputs: FitInputs) -> Self:
        """The generator of what happened before a moment.

        Raises SettingsError where `learn` fails, or gives anything but arrays of numbers by name.
        """
        with _told_as_theirs(cls, "learn"):
            learnt = cls.learn(inputs)
        _check_arrays(cls, learnt)
        return cls(inputs.catalogue, learnt)

    @property
    def catalogue_fingerprint(self) -> str:
        return self.catalogue.ids.fingerprint

    def save(self, folder: Path) -> Meta:
        """Raises SettingsError where there is anything but arrays of numbers."""
        _check_arrays(type(self), self.arrays)
        return save_artefact(
            folder,
            f"generator-{self.name}",
            built_with={"catalogue ids": self.catalogue_fingerprint},
            arrays=self.arrays,
            values={name: [array.dtype.str, list(array.shape)] for name, array in self.arrays.items()},
        )

    @classmethod
    def load(cls, folder: Path, catalogue: Catalogue) -> Self:
        """Read what `save` wrote; raises ReleaseMismatch when it was fitted on other item ids."""
        meta = load_meta(folder, f"generator-{cls.name}")
        check_built_with(f"generator {folder}", meta.built_with, "catalogue ids", catalogue.ids.fingerprint)
        with reading(folder):
            arrays = {
                name: load_array(folder, name, np.dtype(str(kind)), tuple(int(length) for length in shape))
                for name, (kind, shape) in meta.values.items()
            }
        return cls(catalogue, arrays)


@dataclass(frozen=True)
class CheckedEncoding:
    """What a class of a team's own makes of queries. Each answer is held to the promise of EncodedQueries.

    Both methods raise SettingsError where their code fails or the promise is broken.
    """

    own: OwnGenerator
    queries: QueryBatch
    theirs: EncodedQueries

    def propose(self, k: int) -> Proposals:
        own = type(self.own)
        with _told_as_theirs(own, "propose"):
            proposals = self.theirs.propose(k)
        if not isinstance(proposals, Proposals):
            raise _broken(own, "propose", f"gives {type(proposals).__name__}; expected Proposals")
        _refuse_first(own, "propose", _wrong_with_arrays(proposals, len(self.queries)))
        _refuse_first(own, "propose", _wrong_with_items(proposals, k, self.queries, len(self.own.catalogue)))
        return proposals

    def score(self, items: RaggedItems) -> FloatArray:
        own = type(self.own)
        with _told_as_theirs(own, "score"):
            scores = self.theirs.score(items)
        _refuse_first(own, "score", _wrong_with_scores(scores, items.item_idx))
        return scores


def _checked(encode: Callable[[Any, QueryBatch], EncodedQueries]) -> Callable[[Any, QueryBatch], EncodedQueries]:
    @functools.wraps(encode)
    def checked(self: OwnGenerator, queries: QueryBatch) -> EncodedQueries:
        with _told_as_theirs(type(self), "encode"):
            theirs = encode(self, queries)
        if isinstance(theirs, CheckedEncoding):  # of a class that it inherits from
            return theirs
        lacking = [method for method in ("propose", "score") if not callable(getattr(theirs, method, None))]
        if lacking:
            what = f"gives {type(theirs).__name__} without {' and '.join(lacking)}; expected EncodedQueries"
            raise _broken(type(self), "encode", what)
        return CheckedEncoding(self, queries, theirs)

    return checked


def _refuse_first(own: type[OwnGenerator], method: str, wrong: Iterator[str]) -> None:
    if (first := next(wrong, None)) is not None:
        raise _broken(own, method, first)


def _wrong_with_scores(scores: FloatArray, item_idx: ItemIdxArray) -> Iterator[str]:
    yield from _wrong_with_array("scores", scores, np.float32, len(item_idx))
    for at in np.flatnonzero(np.isinf(scores)):
        yield f"gives item {item_idx[at]} the score {scores[at]}; expected a finite one, or NaN for no opinion"


def _wrong_with_arrays(proposals: Proposals, n_queries: int) -> Iterator[str]:
    """What keeps these from being the proposals of so many queries, the first thing first."""
    yield from _wrong_with_array("offsets", proposals.offsets, np.int64, n_queries + 1)
    yield from _wrong_with_array("item_idx", proposals.item_idx, np.int32)
    yield from _wrong_with_array("scores", proposals.scores, np.float32, len(proposals.item_idx))
    offsets, n_items = proposals.offsets, len(proposals.item_idx)
    if offsets[0] != 0 or offsets[-1] != n_items or (np.diff(offsets) < 0).any():
        found = f"{offsets[0]} to {offsets[-1]} for {n_items} items"
        yield f"gives offsets from {found}; expected from 0 to their number, none below the one before"


def _wrong_with_array(name: str, array: object, kind: type[np.generic], length: int | None = None) -> Iterator[str]:
    of_length = "(n,)" if length is None else f"({length},)"
    if not isinstance(array, np.ndarray):
        yield f"gives {name} as {type(array).__name__}; expected an array of NumPy, {of_length} of {kind.__name__}"
    elif array.dtype != kind or array.ndim != 1 or length not in (None, len(array)):
        yield f"gives {name} as {array.shape} of {array.dtype}; expected {of_length} of {kind.__name__}"


def _wrong_with_items(proposals: Proposals, k: int, queries: QueryBatch, n_items: int) -> Iterator[str]:
    """What of the promise is broken by proposals that are whole as arrays, the first thing first."""
    item_idx, scores, rows = proposals.item_idx, proposals.scores, proposals.rows
    lengths = np.diff(proposals.offsets)
    for query in np.flatnonzero(lengths > k):
        yield f"gives {lengths[query]} items for one query; expected at most {k}"
    for item in item_idx[(item_idx < 0) | (item_idx >= n_items)]:
        yield f"gives item {item}; expected 0 to {n_items - 1}, the items of the catalogue"
    for at in np.flatnonzero(~np.isfinite(scores)):
        yield f"gives item {item_idx[at]} the score {scores[at]}; expected a finite one"
    keys = pair_keys(rows, item_idx)
    in_order = np.sort(keys)
    for key in in_order[1:][np.diff(in_order) == 0]:
        yield f"gives item {key & ITEM_BITS} twice to one query; expected each item once"
    for item in item_idx[is_among(keys, queries.excluded.keys)]:
        yield f"gives item {item}, which the query excludes; expected none that is in queries.excluded"
    if queries.allowed is not None:
        for item in item_idx[~queries.allowed.contains(item_idx)]:
            yield f"gives item {item}, which the filter leaves out; expected none but those of queries.allowed_of"
    rises, ties = scores[1:] > scores[:-1], scores[1:] == scores[:-1]
    misplaced = (rises | (ties & (item_idx[1:] < item_idx[:-1]))) & (rows[1:] == rows[:-1])
    for at in np.flatnonzero(misplaced):
        yield (
            f"gives item {item_idx[at]} of score {scores[at]} before item {item_idx[at + 1]} of {scores[at + 1]}; "
            "expected the best first, and equal scores in the order of item_idx"
        )


def _check_arrays(own: type[OwnGenerator], arrays: object) -> None:
    if not isinstance(arrays, Mapping):
        raise _broken(own, "learn", f"gives {type(arrays).__name__}; expected arrays by name")
    for name, array in arrays.items():
        if not (isinstance(name, str) and name.isidentifier()):  # it becomes the name of a file
            raise _broken(own, "learn", f"names an array {name!r}; expected a name as Python's are")
        if not isinstance(array, np.ndarray):
            raise _broken(own, "learn", f"gives {name!r} as {type(array).__name__}; expected an array of NumPy")
        if array.dtype.kind not in KINDS_OF_NUMBERS:
            raise _broken(own, "learn", f"gives {name!r} as {array.dtype}; expected numbers")


@contextmanager
def _told_as_theirs(own: type[OwnGenerator], method: str) -> Iterator[None]:
    """Whatever their code dies of is told as theirs, with its line."""
    try:
        yield
    except SlateworkError:
        raise
    except Exception as error:
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        where = f"{Path(frame.f_code.co_filename).name}:{line}"
        raise _broken(own, method, f"fails in {where}: {type(error).__name__}: {error}") from error


def _broken(own: type[OwnGenerator], method: str, what: str) -> SettingsError:
    return SettingsError(f"{own.__qualname__}.{method} {what}.", WHAT_TO_DO)


def own_classes(references: Sequence[str], taken: Sequence[str] = ()) -> dict[str, type[OwnGenerator]]:
    """By the name of the generator, the classes that params.yaml names; taken: names of other generators.

    Raises SettingsError where one is not found, is no OwnGenerator, or has no name of its own.
    """
    found: dict[str, type[OwnGenerator]] = {}
    for reference in references:
        own = own_class(reference)
        if own.name in found or own.name in taken:
            raise _wrong(reference, f"is named {own.name!r}, and there is a generator of this name already")
        found[own.name] = own
    return found


def own_class(reference: str) -> type[OwnGenerator]:
    """The class `package.module:Class` in the project's folder, the working directory; raises as `own_classes`."""
    module, _, name = reference.partition(":")
    root, top = Path.cwd(), module.partition(".")[0]
    if not name or not all(part.isidentifier() for part in (*module.split("."), name)):
        raise _wrong(reference, "is not written as package.module:Class")
    if not code_files(root, top):
        raise _wrong(reference, f"is not in the project's folder: {root} has neither {top}/ nor {top}.py")
    with _importing_from(root):
        try:
            found = getattr(importlib.import_module(module), name, None)
        except Exception as error:  # whatever their code dies of is told as theirs
            raise _wrong(reference, f"cannot be imported: {type(error).__name__}: {error}") from error
    if found is None:
        raise _wrong(reference, f"is not there: the module {module} has no {name}")
    if not (isinstance(found, type) and issubclass(found, OwnGenerator)):
        raise _wrong(reference, f"is no generator: {name} is not a subclass of {__name__}.OwnGenerator")
    if inspect.isabstract(found):
        raise _wrong(reference, f"lacks {', '.join(sorted(found.__abstractmethods__))}")
    if not NAME.fullmatch(str(getattr(found, "name", ""))):
        raise _wrong(reference, f"has the name {getattr(found, 'name', None)!r}; expected {NAME_RULE}")
    return found


def reference_of(own: OwnGenerator) -> str:
    """How params.yaml names the class of a generator."""
    return f"{type(own).__module__}:{type(own).__qualname__}"


def code_fingerprint_of(own: OwnGenerator) -> str:
    """Of the code of its package, or of its module where it is in none."""
    root = Path.cwd()
    files = code_files(root, type(own).__module__.partition(".")[0])
    return fingerprint_json({file: fingerprint_file(root / file) for file in files})


@contextmanager
def _importing_from(root: Path) -> Iterator[None]:
    """A command that was installed looks for modules beside itself, not in the working directory."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))


def _wrong(reference: str, what: str) -> SettingsError:
    return SettingsError(f"candidates.own: {reference} {what}.", WHAT_TO_DO)
