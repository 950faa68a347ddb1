"""Where a version can be looked at, in words."""

from __future__ import annotations

import pytest

from contracts.home import Home
from release.registry.connection import RegistryConnection


@pytest.mark.parametrize(
    ("uri", "page"),
    [
        ("http://127.0.0.1:5000", "in MLflow: http://127.0.0.1:5000/#/models/movies/versions/3"),
        (
            "https://ada:s3cret@mlflow.example.org",
            "in MLflow: https://ada:***@mlflow.example.org/#/models/movies/versions/3",
        ),
    ],
)
def test_a_version_on_a_server_is_shown_by_its_page_without_a_password(
    home: Home, monkeypatch: pytest.MonkeyPatch, uri: str, page: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert RegistryConnection(home).page_of("movies", 3) == page
