"""A team's own generators: classes in the project's folder that params.yaml names, as package.module:Class.

They keep the promise of base.py, as all others do. What they have learnt is arrays, saved and loaded for them.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from contracts.artefact import Meta, check_built_with, load_array, load_meta, reading, save_artefact
from contracts.errors import SettingsError, SlateworkError
from contracts.fingerprint import fingerprint_file, fingerprint_json
from contracts.settings.candidates import NAME, NAME_RULE
from contracts.stage_code import code_files
from recommender.catalogue import Catalogue
from recommender.generators.base import EncodedQueries, FitInputs
from recommender.query import QueryBatch

WHAT_TO_DO = "docs/own-generator.md has an example that works; mend candidates.own in params.yaml, or the class."
KINDS_OF_NUMBERS = "biuf"  # what arrays may hold, as NumPy calls it: no objects, so no pickle

Arrays = Mapping[str, npt.NDArray[Any]]


class OwnGenerator(ABC):
    """A generator of a team's own: give it a name, what it learns, and what it makes of queries.

    name: as in `request.quotas`. arrays: what `learn` gave, as it was fitted or as it was loaded.
    """

    name: ClassVar[str]

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
        try:
            learnt = cls.learn(inputs)
        except SlateworkError:
            raise
        except Exception as error:  # whatever their code dies of is told as theirs, with its line
            *_, (frame, line) = traceback.walk_tb(error.__traceback__)
            where = f"{Path(frame.f_code.co_filename).name}:{line}"
            raise _not_learnt(cls, f"fails in {where}: {type(error).__name__}: {error}") from error
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


def _check_arrays(own: type[OwnGenerator], arrays: object) -> None:
    if not isinstance(arrays, Mapping):
        raise _not_learnt(own, f"gives {type(arrays).__name__}; expected arrays by name")
    for name, array in arrays.items():
        if not (isinstance(name, str) and name.isidentifier()):  # it becomes the name of a file
            raise _not_learnt(own, f"names an array {name!r}; expected a name as Python's are")
        if not isinstance(array, np.ndarray):
            raise _not_learnt(own, f"gives {name!r} as {type(array).__name__}; expected an array of NumPy")
        if array.dtype.kind not in KINDS_OF_NUMBERS:
            raise _not_learnt(own, f"gives {name!r} as {array.dtype}; expected numbers")


def _not_learnt(own: type[OwnGenerator], what: str) -> SettingsError:
    return SettingsError(f"{own.__qualname__}.learn {what}.", WHAT_TO_DO)


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
