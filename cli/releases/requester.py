"""Who types a command, as the journal names them."""

from __future__ import annotations

import os

from cli.parameters import load_settings


def whoever_types() -> str:
    """The token in SLATE_TOKEN where params.yaml has a list to find it on, else the user of this process."""
    from release.promotion.requesters import TOKEN_VARIABLE, command_line_requester

    # A rollback does not wait for what reads params.yaml: without a token the list does not matter.
    allowed = load_settings().promotion.allowed_requesters if os.environ.get(TOKEN_VARIABLE) else ()
    return command_line_requester(allowed)
