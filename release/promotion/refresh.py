"""Refreshing: fresher feature values for the release in production, as a new generation of it, switched like a release.

The models stay. The values must have been computed by the code and the feature parameters that the release was built
with, so that what the ranker was taught of a feature is still what the feature says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.errors import PointerMoved, PromotionRefused, ReleaseMismatch, ValidationFailed
from contracts.home import Home
from contracts.json_file import load_json
from contracts.settings.identity_params import released_params
from contracts.settings.settings import Settings
from feature_store.online.pointer import Pointer, epoch_of
from feature_store.values.file_names import VALUES
from feature_store.values.restricted_values import RestrictedValues, restrict_to_items
from feature_store.values.values import FeatureValues, load_schemas
from recommender.catalogue import Catalogue
from release.bundle.bundle import CATALOGUE, FEATURES
from release.bundle.code_version import CodeGone, code_fingerprint
from release.bundle.manifest import REBUILD, Manifest, load_manifest
from release.journal.entries import Action, Entry, Note, Phase
from release.journal.journal import Journal
from release.promotion.generation_cleanup import generations_to_keep, remove_old_generations
from release.promotion.promotion_lock import promotion_lock
from release.promotion.republishing import republish_missing
from release.promotion.switch import Switch, open_switch


@dataclass(frozen=True)
class RefreshInputs:
    """What a run of the stages up to `features` left: values, the result of the validation, and the code that ran."""

    values: Path
    validation: Path
    code: Path


@dataclass(frozen=True)
class RefreshResult:
    """What is served now; the generation that was left is the same where there was nothing fresher.

    n_new_items: of the data, which the release does not know; n_absent_items: of the release, which the data lacks;
    mended: what served generations lacked in the online store, and have again.
    """

    pointer: Pointer
    left_generation_id: str
    as_of: datetime
    n_users: int
    n_new_items: int
    n_absent_items: int
    mended: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "release_id": self.pointer.release_id,
            "generation_id": self.pointer.generation_id,
            "epoch": self.pointer.epoch,
            "left_generation_id": self.left_generation_id,
            "as_of": self.as_of.isoformat(),
            "n_users": self.n_users,
            "n_new_items": self.n_new_items,
            "n_absent_items": self.n_absent_items,
            "mended": list(self.mended),
        }


def refresh(
    settings: Settings, home: Home, journal: Journal, inputs: RefreshInputs, *, requester: str, reason: str = ""
) -> RefreshResult:
    """Publish the values as a generation of the release in production, and serve it; the one served is left alone.

    Raises PromotionRefused when nothing is in production, or the values are older than what is served;
    ReleaseMismatch when other code, feature parameters or features made them than the release was built with;
    ValidationFailed when their data did not pass; StoreError when publishing or the switch fails. What was served stays
    served then.
    """
    with promotion_lock(home), open_switch(home, settings, journal) as switch:
        switch.close_confirmed_intents()
        pointer = switch.pointer()
        entry = _in_production(journal, pointer)
        bundle = switch.bundles.path(str(entry.release_id))
        manifest = load_manifest(bundle)
        _check_origin(settings, inputs, manifest)
        values = FeatureValues.load(inputs.values).of(load_schemas(bundle / FEATURES))
        restricted = restrict_to_items(values, Catalogue.load(bundle / CATALOGUE).ids)
        if pointer is None or pointer.generation_id != restricted.values.generation_id:
            _check_not_older(restricted.values, entry, switch)
            pointer = _serve(switch, restricted.values, _note(entry, restricted, requester, reason), epoch_of(pointer))
        mended = republish_missing(switch)
    return RefreshResult(
        pointer,
        str(entry.generation_id),
        restricted.values.as_of,
        restricted.values.users.height,
        len(restricted.new_items),
        len(restricted.absent_items),
        mended,
    )


def _serve(switch: Switch, values: FeatureValues, note: Note, epoch: int) -> Pointer:
    """Keep the values, serve them from now on, and let go of generations that are too old now."""
    switch.generations.keep(values)
    pointer = switch.move(note, expected_epoch=epoch)
    journal, settings = switch.journal, switch.settings.publish
    remove_old_generations(switch.client, switch.app, journal, settings)
    switch.generations.forget_all_but(generations_to_keep(journal.view(), settings.keep_generations))
    journal.keep_checkpoint()
    return pointer


def _in_production(journal: Journal, pointer: Pointer | None) -> Entry:
    """What the journal says is served, which the pointer names too where there is one."""
    entry = journal.view().production
    if entry is None:
        raise PromotionRefused(
            "Nothing is in production: there is no release to refresh.", "Promote one: `slate promote VERSION`."
        )
    if pointer is not None and pointer.release_id != entry.release_id:
        raise PointerMoved(
            f"The pointer names release {pointer.release_id}, the journal says {entry.release_id}.",
            "Somebody switches at this moment, or the store is an old one: `slate sync`, then `slate refresh` again.",
        )
    return entry


def _check_origin(settings: Settings, inputs: RefreshInputs, manifest: Manifest) -> None:
    advice = (
        f"Run the stages with what the release was built with: `git checkout release/{manifest.release_id}`, then "
        "`dvc repro features` and `slate refresh`; the DAG `refresh_features` does so."
    )
    if load_json(inputs.validation, REBUILD).get("success") is not True:
        raise ValidationFailed(
            f"{inputs.validation} says that the data did not pass its validation.", "See `dvc repro validate`."
        )
    code = _code_in(inputs.code)
    if code != manifest.code:
        raise ReleaseMismatch(
            f"The code in {inputs.code} is {code}; release {manifest.release_id} was built by {manifest.code}.", advice
        )
    params = released_params(settings)["features"]
    if params != manifest.params["features"]:
        raise ReleaseMismatch(
            f"The parameters `features` are {json.dumps(params)}; release {manifest.release_id} was built with "
            f"{json.dumps(manifest.params['features'])}.",
            advice,
        )


def _code_in(checkout: Path) -> str:
    """The fingerprint of its code, or what is missing of it: then it is no release's code."""
    try:
        return code_fingerprint(checkout)
    except CodeGone as error:
        return f"not whole ({error.problem.rstrip('.')})"


def _check_not_older(values: FeatureValues, entry: Entry, switch: Switch) -> None:
    folder = switch.generations.path(str(entry.release_id), str(entry.generation_id))
    before = datetime.fromisoformat(load_json(folder / VALUES, REBUILD)["as_of"])
    if values.as_of < before:
        raise PromotionRefused(
            f"The values are as of {values.as_of.isoformat()}; generation {entry.generation_id}, which is served, is "
            f"as of {before.isoformat()}.",
            "Bring the newer data in: `dvc repro features`. To go back on purpose, `slate rollback`.",
        )


def _note(entry: Entry, restricted: RestrictedValues, requester: str, reason: str) -> Note:
    return Note(
        Action.REFRESH,
        Phase.INTENT,
        entry.release_id,
        restricted.values.generation_id,
        entry.version,
        requester=requester,
        reason=reason or f"Values as of {restricted.values.as_of.isoformat()}.",
        figures={
            "as_of": restricted.values.as_of.isoformat(),
            "counts": restricted.values.counts,
            "new_items": len(restricted.new_items),
            "absent_items": len(restricted.absent_items),
            "events_of_new_items": restricted.n_events_left_out,
        },
    )
