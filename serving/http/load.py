"""How much of the work for an answer is shed when more is asked than is answered in time: work before requests.

    expected wait, as a share of `serving.max_wait_ms`
    a twentieth or less     everything
    more                    fewer candidates
    more than a tenth       what is popular, at once; so too where `serving.max_waiting` wait already
    a request that has waited longer than all of it before anything was done for it is refused (429)

The expected wait of whoever comes now: requests that wait x what one took of late / threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

FEWER_FROM, POPULAR_FROM = 1 / 20, 1 / 10
# The weight of the latest answer in the mean: what twenty answers in a row took is two thirds of it.
LATEST = 1 / 20


class ServiceLevel(IntEnum):
    """What a request can have, in the order in which it is shed."""

    EVERYTHING = 0
    FEWER_CANDIDATES = 1
    POPULAR = 2
    NOTHING = 3


@dataclass
class Load:
    """How long one answer takes of late, and what follows for those who wait; used within one thread.

    max_wait_ms: past it a request is refused; max_waiting: how many may wait; n_threads: that answer.
    work_ms: mean milliseconds of one answer, of those that were made together its share; nothing is known at first.
    """

    max_wait_ms: float
    max_waiting: int
    n_threads: int
    work_ms: float = 0.0

    def note_work(self, n_answers: int, took_ms: float) -> None:
        """A thread took so long for these."""
        kept = (1 - LATEST) ** n_answers
        self.work_ms = kept * self.work_ms + (1 - kept) * took_ms / n_answers

    def expected_wait_ms(self, n_waiting: int) -> float:
        """How long whoever comes behind these waits for a thread."""
        return n_waiting * self.work_ms / self.n_threads

    def level(self, n_waiting: int, waited_ms: float = 0.0) -> ServiceLevel:
        """What whoever comes behind these can have. waited_ms: what they have waited already, for nothing."""
        if n_waiting and waited_ms > self.max_wait_ms:
            return ServiceLevel.NOTHING
        expected_ms = self.expected_wait_ms(n_waiting)
        if expected_ms > POPULAR_FROM * self.max_wait_ms or n_waiting >= max(self.max_waiting, 1):
            return ServiceLevel.POPULAR
        return ServiceLevel.FEWER_CANDIDATES if expected_ms > FEWER_FROM * self.max_wait_ms else ServiceLevel.EVERYTHING
