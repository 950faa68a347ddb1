"""Stage `publish`: the release's feature values in the online store, and the receipt that says so.

    build/receipt.json    {"release_id", "generation_id", "n_users", "n_items", "n_histories", "checksum"}

It runs at every `dvc repro`, for no file tells whether somebody flushed the store or took something out of it. When the
store holds as much of the generation as its receipt says, nothing is written, and nothing that takes long to import is
imported.

It also checks all of params.yaml, of which the other stages read their own groups alone: a slip under `serving` is told
here, not when a server starts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from contracts.errors import ArtefactError
from contracts.home import find_home
from contracts.json_file import write_json
from contracts.settings.loading import load_whole
from contracts.settings.settings import Settings
from feature_store.online.connection import Client, connect
from feature_store.online.pointer import is_same_generation
from feature_store.online.receipt import Receipt
from feature_store.publishing.completeness import whole_receipt
from feature_store.server.embedded_redis import online_store
from pipelines.paths import BUNDLE, RECEIPT
from pipelines.stage_run import run_stage

MANIFEST = BUNDLE / "manifest.json"


@dataclass(frozen=True)
class _Release:
    app: str
    release_id: str
    generation_id: str


def run(settings: Settings) -> dict[str, Any]:
    """Publish the bundle's values unless they are there; the pointer stays where it is."""
    release = _read_manifest()
    with online_store(find_home()) as url, connect(url) as client:
        receipt = _receipt_in_store(client, release)
        written = receipt is None
        if receipt is None:
            receipt = _publish(client, release, settings.publish.batch_size)
    _save(receipt)
    print(_sentence(release, receipt, written), flush=True)
    return {"written": written, **receipt.to_json()}


def _receipt_in_store(client: Client, release: _Release) -> Receipt | None:
    """The receipt, when the store holds the generation and agrees with what was published from here before."""
    before = _receipt_on_disk()
    now = whole_receipt(client, release.app, release.generation_id, release.release_id)
    if before and is_same_generation(before, release) and now != before:
        return None
    return now


def _publish(client: Client, release: _Release, batch_size: int) -> Receipt:
    # Waits until it is needed: the usual run finds everything published.
    from release.bundle.publication import publish_bundle  # noqa: PLC0415

    return publish_bundle(client, release.app, BUNDLE, batch_size)


def _read_manifest() -> _Release:
    build = "Run `dvc repro release` to build it."
    try:
        content = json.loads(MANIFEST.read_bytes())
        return _Release(content["app"], content["release_id"], content["generation_id"])
    except FileNotFoundError as error:
        raise ArtefactError(f"{MANIFEST} is missing: there is no release to publish.", build) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{MANIFEST} is damaged: {error!r}.", build) from error


def _receipt_on_disk() -> Receipt | None:
    try:
        return Receipt.from_json(json.loads(RECEIPT.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # not published from here yet, or cut short: the store is asked instead


def _sentence(release: _Release, receipt: Receipt, written: bool) -> str:
    values = f"{receipt.n_users:,} people, {receipt.n_items:,} items, {receipt.n_histories:,} histories"
    done = "published" if written else "published already, and all there"
    return f"{release.app}: generation {release.generation_id} of release {release.release_id} is {done}: {values}"


def _save(receipt: Receipt) -> None:
    write_json(receipt.to_json(), RECEIPT)


if __name__ == "__main__":
    run_stage("publish", Settings, run, load=load_whole)
