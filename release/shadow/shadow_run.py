"""One shadow of an application: which two releases, which requests, at what moment."""

from __future__ import annotations

from datetime import datetime

from contracts.errors import DataTooSmall, PromotionRefused
from feature_store.online.keys import requests_key
from release.bundle.bundle import Release, load_bundle
from release.golden.golden_queries import load_golden_requests
from release.promotion.promotion import Promoter
from release.promotion.switch import Switch, open_switch
from release.registry.kept_bundle import kept_bundle
from release.shadow.shadow import ReplayedRequest, ShadowReport, Side, recent_requests, replay


def shadow_version(promoter: Promoter, number: int, n_requests: int, *, golden: bool = False) -> ShadowReport:
    """Replay the latest requests against the release in production and this version's.

    golden: replay the golden queries of the release in production instead. A release candidate that waits for nothing
    but its values gets them published; no lock is taken, and nothing else is written.
    Raises PromotionRefused where nothing is in production, DataTooSmall where nothing was asked yet.
    """
    version = promoter.registry.version(number)
    settings = promoter.settings
    with open_switch(promoter.home, settings, promoter.journal) as switch:
        pointer = switch.pointer()
        if pointer is None:
            raise PromotionRefused("Nothing is in production to compare with.", "Promote one: `slate promote VERSION`.")
        candidate = load_bundle(kept_bundle(promoter.registry, version))
        production = load_bundle(switch.bundles.path(pointer.release_id))
        requests = golden_replays(production) if golden else _recent_replays(switch, n_requests)
        switch.publish(candidate.release_id, candidate.generation_id)
        return replay(
            Side.online(switch.client, switch.app, production, pointer.generation_id),
            Side.online(switch.client, switch.app, candidate, candidate.generation_id),
            requests,
            _moment(promoter, production, candidate),
        )


def golden_replays(release: Release) -> list[ReplayedRequest]:
    """The golden queries of a release, with what happened in their sessions."""
    return [ReplayedRequest(request, session) for request, session in load_golden_requests(release)]


def _recent_replays(switch: Switch, n_requests: int) -> list[ReplayedRequest]:
    requests = recent_requests(switch.client, switch.app, n_requests)
    if not requests:
        raise DataTooSmall(
            f"The request log {requests_key(switch.app)} is empty: no server was asked anything since it is kept.",
            "Let a server answer some (`slate serve`), or replay the golden queries: `slate shadow VERSION --golden`.",
        )
    return requests


def _moment(promoter: Promoter, production: Release, candidate: Release) -> datetime:
    """Now, as servers have it; on the releases' own clock the later end of data, so that no value is of the future."""
    if promoter.settings.serving.clock == "wall":
        return promoter.clock.now()
    return max(production.as_of, candidate.as_of)
