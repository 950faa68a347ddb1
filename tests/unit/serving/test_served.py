"""What a server answers several with: each as alone, also where Redis holds of one what the release cannot read."""

from __future__ import annotations

from typing import Any

from contracts.clock import FixedClock
from contracts.errors import ReleaseMismatch
from contracts.slates import RecommendRequest
from serving.served import Arm, Served
from tests.unit.release.made_up_release import NOW, AwayReader, made_up_reader, made_up_release

HISTORIES = {"u1": ["i10", "i11", "i12"], "u2": ["i13", "i14", "i15"], "u3": ["i16", "i17", "i18"]}


class OfAnotherCatalogue(AwayReader):
    """The history of one person is not this release's."""

    def read_person(self, user_id: Any, *asked: Any) -> Any:
        if user_id == "u2":
            raise ReleaseMismatch("The history was packed for another catalogue.", "Publish again.")
        return self.reader.read_person(user_id, *asked)


def served(reader: Any) -> Served:
    return Served(Arm.PRODUCTION, made_up_release(), reader, FixedClock(NOW), online=True)


def test_somebody_whose_values_are_of_another_release_goes_without_and_nobody_else() -> None:
    reader = OfAnotherCatalogue(made_up_reader(HISTORIES), people=False, items=False)
    requests = [RecommendRequest(f"q-{user}", user, k=3) for user in HISTORIES]
    together = served(reader).answer_many(requests, lambda request_id: request_id != "q-u3")
    assert [one.slate.degraded for one in together] == [(), ("features",), ()]
    assert [one.slate.tier for one in together] == ["personal", "popular", "personal"]
    assert [one.values is not None for one in together] == [True, False, False]  # and only where it is wanted
    for request, one in zip(requests, together, strict=True):
        assert one.slate.items == served(reader).answer(request).items
