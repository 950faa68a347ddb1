"""Who asks for a promotion, and whether they may: `promotion.allowed_requesters`.

MLflow 3.17 does not say who set a stage or an alias: not on the version, not in a webhook, nor when its users log in.
So somebody who asks there shows a token: the tag `slate.token` on the version, set before the stage or the alias. It is
hashed, noted and taken away as soon as it is seen, also where it means nothing.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from release.journal.entries import Action, Note, Phase
from release.journal.journal import Journal
from release.journal.view import JournalView
from release.registry.requests import BY_REGISTRY, TOKEN_TAG

if TYPE_CHECKING:
    from release.registry.registry import Registry, Version

TOKEN_VARIABLE = "SLATE_TOKEN"  # noqa: S105 - where the token is, not a token
DAG_VARIABLE = "SLATE_DAG"  # set by the DAGs for their tasks
UNKNOWN_TOKEN = "token:unknown"  # noqa: S105 - the hash of what may be a mistyped password is written nowhere
BY_TRAINING = "training"
BY_SLATE = "slate"
BY_GUARD = "guard"
TOKEN_HOLDS = timedelta(minutes=10)  # from tag to stage is a minute in the UI; longer means that it was left behind


def hashed_token(token: str) -> str:
    """A token as the allow list and the journal name it."""
    return f"token:{hashlib.sha256(token.encode()).hexdigest()}"


def requester_of_token(token: str, allowed: Collection[str]) -> str:
    """The requester that a token stands for."""
    name = hashed_token(token.strip())
    return name if name in allowed else UNKNOWN_TOKEN


def command_line_requester(allowed: Collection[str]) -> str:
    """Whoever types: the token in SLATE_TOKEN where there is a list to find it on, else the user of this process.

    What a task of a DAG does is done by the DAG.
    """
    token = os.environ.get(TOKEN_VARIABLE)
    if token and allowed:
        return requester_of_token(token, allowed)
    dag = os.environ.get(DAG_VARIABLE)
    return f"dag:{dag}" if dag else f"cli:{_user()}"


def reason_not_allowed(requester: str, allowed: Collection[str]) -> str:
    """Why this requester may not promote; empty where they may, as everybody may without a list.

    A training asks in the name of params.yaml, which also holds the list.
    """
    if not allowed or requester in {*allowed, BY_TRAINING}:
        return ""
    known = {
        BY_REGISTRY: f"MLflow does not say who asked: set the tag `{TOKEN_TAG}` on the version, then the stage again",
        UNKNOWN_TOKEN: "The token is not on the list",
    }
    reason = known.get(requester, f"`{requester}` is not on the list")
    return f"{reason} (promotion.allowed_requesters in params.yaml)."


def take_tokens(journal: Journal, registry: Registry, versions: Sequence[Version], allowed: Collection[str]) -> None:
    """Note for whom each token on a version stands, and take it away."""
    for version in versions:
        if version.token:
            requester = requester_of_token(version.token, allowed)
            journal.append(Note(Action.IDENTIFY, Phase.DONE, version=version.number, requester=requester))
            registry.take_token(version.number)


def requester_in_registry(view: JournalView, version: int, now: datetime) -> str:
    """Who asks for a version in the registry: by the token that was shown for it since it was last decided on."""
    shown = view.tokens.get(version)
    return shown.requester if shown and now - shown.ts <= TOKEN_HOLDS else BY_REGISTRY


def _user() -> str:
    """The name of the process's own user; what the environment calls them could be anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number without a name
        return str(os.getuid())
