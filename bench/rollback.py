"""How long does a rollback take, from the command to the last answer by the newer release, and what does it cost?

    python -m bench.rollback [--rounds N] [--servers N] [--workers N] [--rate N] [--journal-years N]

Run it in a checkout where `dvc repro` has finished. It makes a second release of the one built (the same, with other
rules), and serves them from a home and a Redis of its own with `slate serve`; both stop at the end. The journal has
years of releases and hourly refreshes behind it (17,520 rows each), and before each rollback as many entries behind its
last checkpoint as may be. A process of its own asks all the while at a steady rate over connections that stay open:
without --rate at half of what the machine carries, which a ramp finds out first. Each round promotes the second
release, and then runs `slate rollback` with MLflow away.

- mixed: an answer whose release and generation do not belong together, or whose slate is not that of the release it
  names. The slate of an answer that says it is degraded is not compared.
- degraded: an answer that says so.
- late: an answer that came more than 0.1 s after it was due.

Limit: 0.5 s, nothing failed, nothing mixed; where one does not hold, it says so and exits with 1. Y says how quick the
machine is (see `bench.yardstick`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.aged_journal import age, put_behind_checkpoint
from bench.asking import Answer, carried_rate, steady_load
from bench.report import print_figures, print_table
from bench.two_releases import SLATE, Rig, running_rig
from bench.yardstick import yardstick_ms
from feature_store.values.values import FeatureValues
from release.bundle.bundle_store import BundleStore
from release.bundle.manifest import VALUES_FOLDER

N_QUESTIONS = 40
SETTLED_S = 1.0  # asked on after a switch, so that a straggler shows
LIMIT_S = 0.5

Slates = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Round:
    """One rollback, times of the monotonic clock. began: when the command was started; moved: when it said that the
    pointer had moved; ended: well after both. answers: those between."""

    began: float
    moved: float
    ended: float

    def answers(self, answers: Sequence[Answer]) -> list[Answer]:
        """Those that came during the round."""
        return [answer for answer in answers if self.began <= answer.done < self.ended]

    def took_s(self, answers: Sequence[Answer], newer: str) -> float:
        """From the command to the last answer by the newer release."""
        by_newer = [answer.done for answer in self.answers(answers) if answer.release_id == newer]
        return max(by_newer, default=self.began) - self.began


def main() -> None:
    """Promote and roll back, round after round, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rounds", 5), ("servers", 2), ("workers", 2), ("rate", 0), ("journal-years", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    y_ms = yardstick_ms()
    with running_rig(asked.servers, asked.workers) as rig:
        n_rows = age(rig.home, rig.settings.app, rig.older.release_id, asked.journal_years)
        questions = _questions(rig)
        rig.promote(rig.older)
        slates = {rig.older.release_id: rig.slates(questions)}
        rig.promote(rig.newer)
        slates[rig.newer.release_id] = rig.slates(questions)
        rate = asked.rate or carried_rate(rig, questions) / 2
        with steady_load(rig, questions, rate) as answers:
            rounds = [_round(rig) for _ in range(asked.rounds)]
    _report(
        rig, rounds, answers, slates, {"rate": round(rate, 1), "journal_rows": n_rows, "yardstick_ms": round(y_ms, 2)}
    )


def _round(rig: Rig) -> Round:
    rig.promote(rig.newer)
    put_behind_checkpoint(rig.home, rig.settings.app)
    time.sleep(SETTLED_S)
    began = time.monotonic()
    command = subprocess.Popen([*SLATE, "rollback", "--reason", "bench"], stdout=subprocess.PIPE, text=True)
    with command:
        assert command.stdout is not None
        line = command.stdout.readline()
        moved = time.monotonic()
        command.stdout.read()
    if command.returncode or "instead of" not in line:
        sys.exit(f"`slate rollback` ended with {command.returncode}: {line}")
    rig.wait_for(rig.older)
    time.sleep(SETTLED_S)
    return Round(began, moved, time.monotonic())


def _report(
    rig: Rig,
    rounds: Sequence[Round],
    answers: Sequence[Answer],
    slates: Mapping[str, Slates],
    measured_at: Mapping[str, float],
) -> None:
    generations = {manifest.release_id: manifest.generation_id for manifest in (rig.older, rig.newer)}
    took = [this.took_s(answers, rig.newer.release_id) for this in rounds]
    rows = [
        (
            number,
            f"{took_s:.3f}",
            f"{this.moved - this.began:.3f}",
            *_counts(this.answers(answers), slates, generations),
        )
        for number, (this, took_s) in enumerate(zip(rounds, took, strict=True), start=1)
    ]
    counted = ("requests", "failed", "mixed", "degraded", "late")
    print_table(["round", "rollback s", "pointer moved s", *counted], rows)
    print(f"at {measured_at['rate']} requests/s, with a journal of {measured_at['journal_rows']:,} rows")
    milliseconds = sorted(1000 * (answer.done - answer.due) for answer in answers)
    figures = {
        "rollback_s": round(max(took), 3),
        **dict(zip(counted, _counts(answers, slates, generations), strict=True)),
        "p50_ms": round(statistics.median(milliseconds), 2),
        "p99_ms": round(milliseconds[int(0.99 * (len(milliseconds) - 1))], 2),
        **measured_at,
    }
    broken = broken_limits(figures)
    for sentence in broken:
        print(sentence)
    print_figures("rollback", figures, data="the checkout's own", seed=rig.settings.seed)
    if broken:
        sys.exit(1)


def broken_limits(figures: Mapping[str, Any]) -> list[str]:
    """What does not hold of the limit, in sentences."""
    y_ms, sentences = figures["yardstick_ms"], []
    if figures["rollback_s"] >= LIMIT_S:
        sentences.append(f"Not below {LIMIT_S} s. Y is {y_ms} ms here: 5 on a quick machine, 12 on a slow one.")
    counts = {name: figures[name] for name in ("failed", "mixed") if figures[name]}
    sentences += [f"{n} answers {name}; none may be." for name, n in counts.items()]
    return sentences


def _counts(
    answers: Sequence[Answer], slates: Mapping[str, Slates], generations: Mapping[str, str]
) -> tuple[int, int, int, int, int]:
    """How many: all, failed, mixed, degraded, late."""
    good = [answer for answer in answers if answer.status == 200]
    return (
        len(answers),
        len(answers) - len(good),
        sum(is_mixed(answer, slates, generations) for answer in good),
        sum(bool(answer.degraded) for answer in good),
        sum(answer.is_late for answer in answers),
    )


def is_mixed(answer: Answer, slates: Mapping[str, Slates], generations: Mapping[str, str]) -> bool:
    """Whether an answer is of more than one release, or of none."""
    if generations.get(answer.release_id) != answer.generation_id:
        return True
    return not answer.degraded and answer.items != slates[answer.release_id][answer.question]


def _questions(rig: Rig) -> list[bytes]:
    values = FeatureValues.load(BundleStore(rig.home).path(rig.older.release_id) / VALUES_FOLDER)
    people = values.users["user_id"].to_list()
    step = max(len(people) // N_QUESTIONS, 1)
    return [json.dumps({"user_id": person, "k": 10}).encode() for person in people[::step][:N_QUESTIONS]]


if __name__ == "__main__":
    main()
