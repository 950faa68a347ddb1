"""`placements.yaml` beside a parameter file: the placements that it declares, and where each line of them stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, ScalarString, SingleQuotedScalarString

from contracts.errors import SettingsError
from contracts.settings.placement_names import HOME

FILE: Final = Path("placements.yaml")
_QUOTED: Final = (DoubleQuotedScalarString, SingleQuotedScalarString)
WITHIN: Final = ("request", "placements")  # where params.yaml changes them


def with_declared(values: Mapping[str, Any], params: Path) -> dict[str, Any]:
    """The values of a parameter file, its `request.placements` laid over what placements.yaml beside it declares.

    A placement, a rule and an option of one are each laid over by itself. Values without a group `request`, or whose
    placements are no mapping, stay as they are. Raises SettingsError where placements.yaml is no YAML mapping, or a
    parameter is changed at `home`.
    """
    request = values.get("request")
    own = request.get("placements", {}) if isinstance(request, Mapping) else None
    if not isinstance(request, Mapping) or not isinstance(own, Mapping):
        return dict(values)
    placements = _laid_over(own, _declared(params.parent / FILE))
    _check_home(placements, params)
    return {**values, "request": {**request, "placements": placements}}


def _check_home(placements: Mapping[str, Any], params: Path) -> None:
    """Refuse parameters of `home`: the ranker learns by those of `request`, and evaluation reports them."""
    home = placements.get(HOME)
    changed = home.get("request") if isinstance(home, Mapping) else None
    if not changed or not isinstance(changed, Mapping):
        return
    names = _first_set(changed)
    origin, name = Origins(params).of((HOME, "request", *names)), ".".join(names)
    raise SettingsError(
        f"{origin.file}:{origin.line}: home.request.{name}: home has the parameters `request` themselves, by which the "
        "ranker learns and evaluation measures.",
        f"Say request.{name} in {params}, and at each other placement what is otherwise there.",
    )


def _first_set(values: Mapping[str, Any]) -> list[str]:
    """The name of the first parameter that is set, from the group down."""
    name, value = next(iter(values.items()))
    return [str(name), *(_first_set(value) if isinstance(value, Mapping) and value else [])]


def _laid_over(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    both = {name for name in upper if isinstance(upper[name], Mapping) and isinstance(lower.get(name), Mapping)}
    return {**lower, **upper, **{name: _laid_over(upper[name], lower[name]) for name in both}}


def _declared(path: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none, and `home` and `item` are as built in."""
    values = _loaded(path, YAML(typ="safe", pure=True))
    if not isinstance(values, dict):
        raise SettingsError(
            f"{path} holds {type(values).__name__}; expected a mapping of placements.",
            "Compare it with `git show HEAD:placements.yaml`; docs/placements.md explains it.",
        )
    return {name: {} if placement is None else placement for name, placement in values.items()}


def _loaded(path: Path, yaml: YAML) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    except (YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no valid YAML: {error}", "Mend the line named above.") from error


@dataclass(frozen=True)
class Origin:
    """Where a setting of a placement is said. line: from 1; of an expression, of its first line."""

    file: str
    line: int


class Origins:
    """Finds settings of placements in params.yaml, which says the last word, and in placements.yaml beside it."""

    def __init__(self, params: Path) -> None:
        yaml = YAML()  # keeps where things stand, and how
        yaml.preserve_quotes = True
        changed = _loaded(params, yaml)
        for group in WITHIN:
            changed = changed.get(group) or {} if isinstance(changed, Mapping) else {}
        self._files = [(str(params), changed), (str(params.parent / FILE), _loaded(params.parent / FILE, yaml))]

    def of(self, names: Sequence[str]) -> Origin:
        """Where the setting of these names (placement, ..., option) is said.

        Of one that is not, where what stands nearest above it is said; else the top of placements.yaml.
        """
        for n_names in range(len(names), 0, -1):
            for file, content in self._files:
                line = _line_of(content, names[:n_names])
                if line is not None:
                    return Origin(file, line)
        return Origin(self._files[-1][0], 1)


def _line_of(content: Any, names: Sequence[str]) -> int | None:
    line = None
    for name in names:
        if not isinstance(content, Mapping) or name not in content:
            return None
        line, content = _line_of_value(content, name), content[name]
    return line


def _line_of_value(content: Any, name: str) -> int:
    """Where a value begins; of a text in a block of its own, in the line after its key's."""
    line: int = content.lc.value(name)[0] + 1
    return line + 1 if isinstance(content[name], ScalarString) and not isinstance(content[name], _QUOTED) else line
