"""The parameters that can change what a release answers."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from contracts.settings.candidates import CandidateSettings
from contracts.settings.evaluate import EvaluateSettings
from contracts.settings.features import FeatureSettings
from contracts.settings.group import Group
from contracts.settings.group_names import App, Seed
from contracts.settings.index import IndexSettings
from contracts.settings.ingest import IngestSettings
from contracts.settings.placements import declared_placements
from contracts.settings.ranking import RankingSettings
from contracts.settings.release import ReleaseSettings
from contracts.settings.request import RequestSettings
from contracts.settings.validate import ValidateSettings

# Where a file lies on this machine is no content; what was in it shows in `data` and in validation.json of a bundle.
PATH_PARAMS: Final = {"ingest": ("path",), "validate": ("baseline",)}


class ReleasedSettings(Group):
    """The groups a release is built with. The others say how one is handled, not what it answers."""

    app: App
    seed: Seed
    ingest: IngestSettings
    validate_: ValidateSettings = Field(alias="validate")
    features: FeatureSettings
    candidates: CandidateSettings
    index: IndexSettings
    ranking: RankingSettings
    request: RequestSettings
    evaluate: EvaluateSettings
    release: ReleaseSettings


def released_params(settings: ReleasedSettings) -> dict[str, Any]:
    """The parameters that belong to a release's identity, as JSON says them; of placements what was declared.

    So they are equal whether a release was built with them, and compiled its placements, or they are read of a file.
    """
    values = settings.model_dump(mode="json", by_alias=True, include=set(ReleasedSettings.model_fields))
    for group, paths in PATH_PARAMS.items():
        values[group] = {name: value for name, value in values[group].items() if name not in paths}
    values["request"]["placements"] = declared_placements(settings.request.placements)
    return values
