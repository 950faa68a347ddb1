"""What is known of a request that has come."""

from __future__ import annotations

import time

from serving.http.arrivals import CAME, IDS_AT_ONCE, IS_GONE, Arrival, RequestIds


def test_ids_are_of_32_hexadecimal_digits_and_none_comes_twice() -> None:
    ids = RequestIds()
    drawn = [ids.next() for _ in range(2 * IDS_AT_ONCE + 1)]
    assert len(set(drawn)) == len(drawn)
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in drawn)


def test_a_request_counts_from_when_it_was_read_and_its_client_is_where_the_protocol_says() -> None:
    arrival = Arrival.of({CAME: time.perf_counter() - 5.0, IS_GONE: lambda: True})
    assert 5_000 <= arrival.waited_ms() < 3_600_000
    assert arrival.is_gone()


def test_where_another_protocol_read_it_it_came_now_from_somebody_who_stays() -> None:
    before = time.perf_counter()
    arrival = Arrival.of({})
    assert before <= arrival.came <= time.perf_counter()
    assert not arrival.is_gone()
