"""Parameters become settings. A misspelt, missing or out-of-range one is an error that says which, and what to type."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from contracts.counted import counted
from contracts.errors import SettingsError
from contracts.settings.group import Group
from contracts.settings.group_names import NAMES
from contracts.settings.params_file import read_params
from contracts.settings.params_path import PARAMS
from contracts.settings.placements_file import WITHIN, Origins, with_declared

Kind = TypeVar("Kind", bound=Group)


def load_groups(kind: type[Kind], path: Path = PARAMS) -> Kind:
    """The groups that `kind` has as fields, out of a file that may hold others; those are neither read nor checked.

    Raises SettingsError naming every parameter of these groups that is wrong.
    """
    values = read_params(path)
    return _checked(kind, {name: values[name] for name in _parameters_of(kind) if name in values}, values, path)


def load_whole(kind: type[Kind], path: Path = PARAMS) -> Kind:
    """As `load_groups`, of a file that may hold nothing else."""
    return checked_whole(kind, read_params(path), path)


def checked_whole(kind: type[Kind], values: Mapping[str, Any], path: Path) -> Kind:
    """As `load_whole`, of the values that the file holds or is to hold."""
    return _checked(kind, values, values, path)


def _checked(kind: type[Kind], chosen: Mapping[str, Any], in_file: Mapping[str, Any], path: Path) -> Kind:
    try:
        return kind.model_validate(with_declared(chosen, path))
    except ValidationError as error:
        problems = "\n".join(
            f"  {_where(problem, path)}: {_problem_text(problem, kind, in_file)}" for problem in error.errors()
        )
        raise SettingsError(
            f"{counted(error.error_count(), 'parameter is', 'parameters are')} wrong:\n{problems}",
            f"Mend them in {path}; contracts/settings/ explains each group in the module of its name.",
        ) from error


def _where(problem: Any, path: Path) -> str:
    """The file that says what is wrong; of placements, which two files may say, with the line."""
    names = tuple(str(part) for part in problem["loc"])
    if names[: len(WITHIN)] != WITHIN:
        return str(path)
    origin = Origins(path).of(names[len(WITHIN) :])
    return f"{origin.file}:{origin.line}"


def _problem_text(problem: Any, kind: type[BaseModel], in_file: Mapping[str, Any]) -> str:
    location = tuple(str(part) for part in problem["loc"] if _is_written(part, problem["loc"], in_file))
    where = ".".join(location) or "(top)"
    match problem["type"]:
        case "extra_forbidden":
            return f"`{where}` is unknown.{_did_you_mean(location, kind)}"
        case "missing":
            return f"`{where}` is missing.{_written_instead(location, in_file)}"
        case _:
            return f"`{where}` is {problem['input']!r}: {problem['msg']}."


def _is_written(part: Any, location: tuple[Any, ...], in_file: Mapping[str, Any]) -> bool:
    """Whether a part of a place stands in the file; the number of the one mapping that may be a list does not."""
    if not isinstance(part, int):
        return True
    place: Any = in_file
    for name in location[: location.index(part)]:
        place = place.get(name) if isinstance(place, Mapping) else None
    return not isinstance(place, Mapping)


def _did_you_mean(location: tuple[str, ...], kind: type[BaseModel]) -> str:
    *groups, name = location
    try:
        for inner in (name for name in groups if not name.isdigit()):
            kind = _member(kind, inner)
    except KeyError:
        return ""
    known = _parameters_of(kind)
    close = difflib.get_close_matches(name, known, n=1)
    # The whole name: whoever typed it elsewhere, a form or a command line, types it whole again.
    return f" Did you mean `{'.'.join([*groups, close[0]])}`?" if close else f" Known here: {', '.join(known)}."


def _written_instead(location: tuple[str, ...], in_file: Mapping[str, Any]) -> str:
    """A hint at a group's misspelt name, which a reader of a few groups does not know to be no group at all."""
    unread = [str(name) for name in in_file if name not in NAMES]
    close = difflib.get_close_matches(location[0], unread, n=1) if len(location) == 1 else []
    return f" Is `{close[0]}` a slip for it?" if close else ""


def parameter_names(kind: type[BaseModel], prefix: str = "") -> list[str]:
    """Every parameter of these groups by its whole name (`ranking.n_trees`), and every group within them."""
    names = []
    for name in _parameters_of(kind):
        names.append(f"{prefix}{name}")
        with suppress(KeyError):
            names += parameter_names(_member(kind, name), f"{prefix}{name}.")
    return names


def _parameters_of(kind: type[BaseModel]) -> list[str]:
    return [field.alias or key for key, field in kind.model_fields.items()]


def _member(kind: type[BaseModel], name: str) -> type[BaseModel]:
    for key, info in kind.model_fields.items():
        if (info.alias or key) == name:
            # A group that may be left out is a union with None, and several are a tuple.
            for member in get_args(info.annotation) or (info.annotation,):
                if isinstance(member, type) and issubclass(member, BaseModel):
                    return member
    raise KeyError(name)
