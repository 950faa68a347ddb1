"""The log of who looked at the last window, and why: a table in the docs, which every read adds a line to.

Whatever was chosen with the last window in view is worth less on it. So nobody looks without a trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from contracts.errors import WorkspaceError, WrongInput
from contracts.whole_files import write_whole

LOG: Final = Path("docs/last-window.md")
COLUMNS: Final = ("date", "application", "commit", "seeds", "NDCG@10", "why")
_RULE: Final = "| " + " | ".join(["---"] * len(COLUMNS)) + " |"


def check_reason(why: str) -> None:
    """Refuse to look without a reason that a reader understands later."""
    if len(why.split()) < 3:
        raise WrongInput(
            f"{why!r} tells nobody why the last window is looked at.",
            'Say it in a few words: `slate judge --last "figures of the README for 1.4"`.',
        )


def log_read(
    figures: Mapping[str, Any], moment: datetime, application: str, commit: str, why: str, path: Path = LOG
) -> None:
    """Add a line for a read of the last window; raises WorkspaceError where the table is not there."""
    metric, estimate = next(iter(figures["slates"].items()))
    low, high = estimate["over_people"]
    row = (
        moment.date().isoformat(),
        application,
        commit[:12],
        ", ".join(map(str, figures["seeds"])),
        f"{estimate['mean']:.3f} [{low:.3f}, {high:.3f}]" + ("" if metric == "ndcg_at_10" else f" ({metric})"),
        _as_cell(why),
    )
    content = path.read_text(encoding="utf-8") if path.is_file() else ""
    if _RULE not in content:
        raise WorkspaceError(
            f"{path} has no table of {len(COLUMNS)} columns: {', '.join(COLUMNS)}.",
            f"Bring it back, `git checkout {path}`: a read of the last window must not go unseen.",
        )
    write_whole(path, (content.rstrip("\n") + "\n" + _line(row) + "\n").encode(), shared=True)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _as_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")
