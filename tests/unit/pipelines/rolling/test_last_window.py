from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import WorkspaceError, WrongInput
from pipelines.rolling.last_window import LOG, check_reason, log_read

CHECKOUT = Path(__file__).parents[4]
MOMENT = datetime(2031, 5, 6, 23, 59, tzinfo=UTC)
FIGURES: dict[str, Any] = {
    "seeds": [7, 8],
    "slates": {"ndcg_at_10": {"mean": 0.3053, "over_people": [0.2501, 0.3609]}, "recall_at_20": {"mean": 0.1}},
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "last-window.md"
    path.write_bytes((CHECKOUT / LOG).read_bytes())
    return path


def test_every_read_adds_a_line_below_those_before(log: Path) -> None:
    before = log.read_text()
    for why in ("the figures of 1.4", "a second look |\nat it"):
        log_read(FIGURES, MOMENT, "movies", "0123456789abcdef", why, log)
    first, second = log.read_text().removeprefix(before).splitlines()
    assert first == "| 2031-05-06 | movies | 0123456789ab | 7, 8 | 0.305 [0.250, 0.361] | the figures of 1.4 |"
    assert second.endswith("| a second look / at it |")


def test_a_read_that_cannot_be_logged_is_an_error(log: Path) -> None:
    log.write_text("# Something else\n")
    with pytest.raises(WorkspaceError, match="has no table of 6 columns"):
        log_read(FIGURES, MOMENT, "movies", "0123456789ab", "to see it", log)
    log.unlink()
    with pytest.raises(WorkspaceError, match="git checkout"):
        log_read(FIGURES, MOMENT, "movies", "0123456789ab", "to see it", log)


@pytest.mark.parametrize("why", ["", "test", "just because"])
def test_a_look_without_a_reason_is_refused(why: str) -> None:
    with pytest.raises(WrongInput, match="why the last window"):
        check_reason(why)
    check_reason("figures of 1.4")
