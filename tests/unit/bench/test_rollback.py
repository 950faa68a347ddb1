"""What the benchmark of a rollback counts, and when it fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.asking import LATE_S, Answer, is_carried
from bench.rollback import LIMIT_S, broken_limits, is_mixed
from bench.two_releases import wait_until
from contracts.home import Home

GENERATIONS = {"r-old": "g-old", "r-new": "g-new"}
SLATES = {"r-old": [("a", "b")], "r-new": [("b", "a")]}
GOOD = {"rollback_s": 0.3, "failed": 0, "mixed": 0, "yardstick_ms": 8.0}


def answer(release: str = "r-old", generation: str = "g-old", status: int = 200, took_s: float = 0.01) -> Answer:
    return Answer(0, 1.0, 1.0 + took_s, status, release, generation, (), SLATES.get(release, [()])[0], {})


def test_an_answer_of_one_release_with_the_values_of_the_other_is_mixed() -> None:
    assert not is_mixed(answer(), SLATES, GENERATIONS)
    assert is_mixed(answer(generation="g-new"), SLATES, GENERATIONS)
    assert is_mixed(answer("r-none", "g-none"), SLATES, GENERATIONS)


def test_a_rate_at_which_answers_fail_at_once_is_not_carried() -> None:
    good, failed, late = answer(), answer("None", "None", status=0), answer(took_s=2 * LATE_S)
    assert is_carried([good] * 100)
    assert is_carried([good] * 99 + [failed])
    assert not is_carried([good] * 98 + [failed] * 2)
    assert not is_carried([good] * 98 + [failed, late])
    assert not is_carried([good] * 98 + [replace(good, degraded=("person",))] * 2)  # quick, and not what was asked


@pytest.mark.parametrize(
    ("figures", "words"),
    [({"rollback_s": LIMIT_S}, "Not below"), ({"failed": 3}, "3 answers failed"), ({"mixed": 1}, "1 answers mixed")],
)
def test_a_limit_that_does_not_hold_is_said(figures: dict[str, float], words: str) -> None:
    assert broken_limits(GOOD) == []
    (sentence,) = broken_limits(GOOD | figures)
    assert words in sentence


def test_servers_that_do_not_answer_are_told_by_the_ends_of_their_logs(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.root.mkdir()
    (home.root / "server-8000.log").write_text("started\nno port is free\n")
    monkeypatch.setattr("bench.two_releases.WITHIN_S", -1.0)
    with pytest.raises(SystemExit, match=r"server-8000\.log:\nstarted\nno port is free"):
        wait_until(lambda: False, home)
