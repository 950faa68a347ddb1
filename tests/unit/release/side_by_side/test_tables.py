"""The lines of two releases side by side."""

from __future__ import annotations

from release.side_by_side.tables import misfit_lines, part_lines

FIGURES = {
    "parts": [
        {"part": "generators", "fits": False, "why_not": ["quotas for als", "other items"], "note": ""},
        {
            "part": "ranker",
            "fits": True,
            "effect": {
                "warm": {"mean": 0.02, "low": 0.01, "high": 0.03},
                "cold": {"mean": 0.0, "low": 0.0, "high": 0.0},
            },
            "into_a": {"warm": 0.02, "cold": 0.0},
            "out_of_b": None,
            "note": "one way alone",
        },
    ]
}


def test_why_a_part_does_not_fit_is_said_once_and_not_in_the_table_of_each_group() -> None:
    assert misfit_lines(FIGURES) == [("generators", "quotas for als"), ("generators", "other items")]
    for group, mean in (("warm", "+0.020"), ("cold", "+0.000")):
        header, of_generators, of_ranker = part_lines(FIGURES, group)
        assert of_generators == ["generators", "does not fit", "", "", "", ""]
        assert (of_ranker[1], of_ranker[4], of_ranker[5]) == (mean, "does not fit", "one way alone")
        assert len(header) == len(of_generators) == len(of_ranker)
