"""What MLflow is told of a release, for machines and for people."""

from release.registry.figures import first_metrics, headline


def test_the_headline_reads_as_a_sentence_with_interval_and_baselines():
    figures = {"people": 90, "ndcg_at_10": 0.29109, "low": 0.2381, "high": 0.34599, "popular": 0.14965}
    assert headline("r-1", figures) == (
        "Release r-1: NDCG@10 0.291 [0.238, 0.346] for 90 people with a history; popular 0.150"
    )


def test_a_release_without_figures_says_so():
    assert headline("r-1", {}) == "Release r-1: no figures"


def test_the_figures_that_matter_sort_before_all_others():
    figures = {"people": 90, "ndcg_at_10": 0.29109, "low": 0.2381, "high": 0.34599, "popular": 0.14965}
    assert first_metrics(figures) == {
        "1_ndcg_at_10": 0.29109,
        "2_ndcg_at_10_low": 0.2381,
        "3_ndcg_at_10_high": 0.34599,
        "4_people": 90,
        "5_popular": 0.14965,
    }
    assert first_metrics({}) == {}
