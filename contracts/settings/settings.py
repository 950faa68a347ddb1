"""params.yaml as frozen, typed settings. A misspelt, missing or out-of-range parameter is an error that says which."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationError

from contracts.errors import SettingsError
from contracts.settings.candidates import CandidateSettings
from contracts.settings.evaluate import EvaluateSettings
from contracts.settings.features import FeatureSettings
from contracts.settings.group import Group
from contracts.settings.index import IndexSettings
from contracts.settings.ingest import IngestSettings
from contracts.settings.params_file import read_params
from contracts.settings.promotion import PromotionSettings
from contracts.settings.publish import PublishSettings
from contracts.settings.ranking import RankingSettings
from contracts.settings.release import ReleaseSettings
from contracts.settings.request import RequestSettings
from contracts.settings.serving import ServingSettings
from contracts.settings.validate import ValidateSettings


class Settings(Group):
    """All of params.yaml."""

    app: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    seed: int = Field(ge=0)
    ingest: IngestSettings
    validate_: ValidateSettings = Field(alias="validate")
    features: FeatureSettings
    candidates: CandidateSettings
    index: IndexSettings
    ranking: RankingSettings
    request: RequestSettings
    evaluate: EvaluateSettings
    release: ReleaseSettings
    publish: PublishSettings
    promotion: PromotionSettings
    serving: ServingSettings


def load_settings(path: Path = Path("params.yaml")) -> Settings:
    """Read and check the parameters; raises SettingsError naming every parameter that is wrong."""
    values = read_params(path)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {path}: {_describe(problem)}" for problem in error.errors())
        raise SettingsError(
            f"{error.error_count()} parameter(s) are wrong:\n{problems}",
            f"Mend them in {path}; every parameter is explained in contracts/settings/<group>.py.",
        ) from error


def _describe(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "(top)"
    match problem["type"]:
        case "extra_forbidden":
            return f"`{where}` is unknown.{_did_you_mean(problem['loc'])}"
        case "missing":
            return f"`{where}` is missing."
        case _:
            return f"`{where}` is {problem['input']!r}: {problem['msg']}."


def _did_you_mean(location: tuple[str | int, ...]) -> str:
    *groups, name = (str(part) for part in location)
    try:
        group: type[BaseModel] = Settings
        for inner in groups:
            group = _member(group, inner)
    except KeyError:
        return ""
    known = [field.alias or key for key, field in group.model_fields.items()]
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean `{close[0]}`?" if close else f" Known here: {', '.join(known)}."


def _member(group: type[BaseModel], name: str) -> type[BaseModel]:
    for key, info in group.model_fields.items():
        if (info.alias or key) == name:
            # A group that may be left out is a union with None.
            for kind in get_args(info.annotation) or (info.annotation,):
                if isinstance(kind, type) and issubclass(kind, BaseModel):
                    return kind
    raise KeyError(name)
