"""What stands on the page of the registered model in MLflow: how a version is promoted here, and where to look."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from contracts.fingerprint import fingerprint_bytes

API_ADDRESS: Final = "SLATE_API_URL"
# Markdown: the lines of a paragraph are one.
_DESCRIPTION: Final = """\
Each version is a release of Slatework. **To promote one**, give it the alias `production` on its page (or `staging`),
or set its stage: the menu of stages is hidden until the switch *New model registry UI* at the top right of that
page is off. Within seconds the gates decide. Accepted: the servers follow. Refused: everything is put back, and the
version's description says why. On the command line: `slate promote VERSION`; back again: `slate rollback`.

The button *Promote model* copies a version, and asks for nothing: a copy counts as the version that it copies.

[What is served now]({api}/), with links to all the rest; [the API and its documentation]({api}/docs); [whether it is
ready, and what is missing]({api}/readyz). These are the addresses of where the latest version was registered; `slate
status` prints those of today. The README and `docs/runbook.md` of the checkout say more: what each gate asks, who
may promote, canaries.
"""
_OF_BEFORE: Final = frozenset({"b270b33f5ab3a88d"})  # fingerprints of what was written in its place


def model_description(environment: Mapping[str, str] = os.environ) -> str:
    """The text, with the address of the API: SLATE_API_URL, or else where `slate serve` listens on this machine."""
    api = environment.get(API_ADDRESS) or f"http://127.0.0.1:{environment.get('SLATE_API_PORT') or 8000}"
    return _DESCRIPTION.format(api=api.rstrip("/"))


def is_ours(description: str) -> bool:
    """Whether nobody wrote into it: it is the text, whatever the address, or one of before."""
    return _without_addresses(description) == _without_addresses(_DESCRIPTION) or (
        fingerprint_bytes(description.encode()) in _OF_BEFORE
    )


def _without_addresses(text: str) -> str:
    return re.sub(r"\]\(.*?(/\w*)\)", r"](\1)", text)
