"""How much of the work for an answer is shed when more is asked than is answered in time: work before requests.

    expected wait, as a share of `serving.max_wait_ms`
    a quarter or less       everything
    more                    fewer candidates
    more than half          what is popular, at once; so too where `serving.max_waiting` wait already
    all of it has gone by before anything could be done for a request: refused (429)

Whoever comes now waits until the event loop reads the request, until the thread has answered those before it, and until
the loop comes to write the answer. A server that nobody waits for sheds nothing, however late its loop is.

Where the machine has other work the wait turns out longer than expected: whoever has waited so long, when the thread
comes to them, that with the work for the others it would be all of `serving.max_wait_ms`, gets what is popular then.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

FEWER_FROM, POPULAR_FROM = 1 / 4, 1 / 2
# Answered at once: 32 cost hardly less each, and the first of them wait twice as long; of fewer than four each costs
# nearly what it does alone. Between the two, as many as are answered in a quarter of `serving.max_wait_ms`.
MOST_TOGETHER, FEWEST_TOGETHER, TOGETHER_FOR = 16, 4, 1 / 4
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
    """How long one answer takes of late and how late the event loop is, and what follows for those who wait.

    max_wait_ms: past it a request is refused; max_waiting: how many may wait.
    work_ms: mean milliseconds of one answer, of those that were made together its share; nothing is known at first.
    lag_ms: how late the event loop comes of late to what waits for it.
    """

    max_wait_ms: float
    max_waiting: int
    work_ms: float = 0.0
    lag_ms: float = 0.0

    def note_work(self, n_answers: int, took_ms: float) -> None:
        """The thread took so long for these."""
        kept = (1 - LATEST) ** n_answers
        self.work_ms = kept * self.work_ms + (1 - kept) * took_ms / n_answers

    def most_together(self) -> int:
        """How many may be answered at once, so that the first of them do not wait too long for the last."""
        n_in_time = MOST_TOGETHER if not self.work_ms else int(TOGETHER_FOR * self.max_wait_ms / self.work_ms)
        return min(max(n_in_time, FEWEST_TOGETHER), MOST_TOGETHER)

    def is_too_late(self, waited_ms: float, n_together: int) -> bool:
        """Whether whoever is answered with so many, and has waited so long, had better get what is popular now."""
        return self.lag_ms + waited_ms + (n_together - 1) * self.work_ms > self.max_wait_ms

    def left_ms(self, n_under_way: int, since_ms: float) -> float:
        """How much longer answers will take that the thread has been at since then."""
        return max(n_under_way * self.work_ms - since_ms, 0.0)

    def expected_wait_ms(self, n_waiting: int, left_ms: float = 0.0, waited_ms: float = 0.0) -> float:
        """How long whoever comes behind these waits in all, but for the work for themselves.

        left_ms: of what is under way; waited_ms: what has gone by since the request was read.
        """
        return 2 * self.lag_ms + waited_ms + left_ms + n_waiting * self.work_ms

    def level(self, n_waiting: int, left_ms: float = 0.0, waited_ms: float = 0.0) -> ServiceLevel:
        """What whoever comes behind these can have."""
        if not n_waiting and not left_ms:
            return ServiceLevel.EVERYTHING
        if n_waiting and self.lag_ms + waited_ms > self.max_wait_ms:
            return ServiceLevel.NOTHING
        expected_ms = self.expected_wait_ms(n_waiting, left_ms, waited_ms)
        if expected_ms > POPULAR_FROM * self.max_wait_ms or n_waiting >= max(self.max_waiting, 1):
            return ServiceLevel.POPULAR
        return ServiceLevel.FEWER_CANDIDATES if expected_ms > FEWER_FROM * self.max_wait_ms else ServiceLevel.EVERYTHING
