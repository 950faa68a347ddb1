"""From what somebody calls a release to its bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from contracts.errors import ArtefactError, PromotionRefused
from contracts.home import Home
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import MANIFEST, RELEASE_ID
from release.journal.journal import Journal
from release.registry.kept_bundle import kept_bundle
from release.registry.registry import Registry

PRODUCTION: Final = "production"
STAGING: Final = "staging"


def find_bundle(name: str, home: Home, app: str) -> Path:
    """Where the bundle of a release lies that somebody calls by its id, version number, place or folder.

    name: `r-0123456789ab`, `3`, `production`, `staging`, or a folder. The journal tells what is in production, and
    what stands in Staging now: nothing after it was taken out or went on to Production. MLflow is asked for a version's
    number alone, and for a bundle that this machine does not keep.
    Raises ArtefactError when there is none of that name, PromotionRefused when nothing stands in the place named.
    """
    if name.lower() in (PRODUCTION, STAGING):
        return BundleStore(home).path(_release_in(name.lower(), home, app))
    if RELEASE_ID.fullmatch(name):
        return BundleStore(home).path(name)
    if name.isdecimal():
        registry = Registry(home, app)
        return kept_bundle(registry, registry.version(int(name)))
    if (Path(name) / MANIFEST).is_file():
        return Path(name)
    held = ", ".join(BundleStore(home).release_ids()) or "none"
    raise ArtefactError(
        f"{name!r} names no release: it is no id like r-0123456789ab, no version's number, neither `production` nor "
        "`staging`, and no folder of a bundle.",
        f"This machine keeps the releases {held}; `slate releases` lists the versions.",
    )


def _release_in(place: str, home: Home, app: str) -> str:
    view = Journal(home, app).view()
    entry = view.production if place == PRODUCTION else view.staging
    if entry is None or entry.release_id is None:
        raise PromotionRefused(
            f"The journal knows no release in {place.capitalize()}.",
            f"Name one by id or version (`slate releases`), or promote one: `slate promote VERSION --stage {place}`.",
        )
    return entry.release_id
