"""The winner as a change of params.yaml."""

from __future__ import annotations

from difflib import unified_diff

from contracts.settings.params_path import PARAMS


def params_diff(before: bytes, after: bytes) -> str:
    """What changes in the file, as `git diff` would say it; lines that stay are told where they stand beside one."""
    was, becomes = (content.decode().splitlines(keepends=True) for content in (before, after))
    return "".join(unified_diff(was, becomes, f"a/{PARAMS}", f"b/{PARAMS}", n=1))
