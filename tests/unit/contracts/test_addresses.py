"""What may be printed of an address: never a secret, wherever it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.addresses import is_well_written, printable_address, with_password


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rediss://:p%40ss@host:6379/0", "rediss://:***@host:6379/0"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://[::1]:6379/0?password=x", "redis://[::1]:6379/0?password=***"),
        ("unix://ada:x@/run/redis.sock?db=1", "unix://ada:***@/run/redis.sock?db=1"),
        ("http://ada:x@mlflow:5000/", "http://ada:***@mlflow:5000/"),
        (
            "postgresql://ada@host/journal?password=x&sslmode=y",
            "postgresql://ada@host/journal?password=***&sslmode=***",
        ),
        ("sqlite:////home/ada/.slate/mlflow.db", "sqlite:////home/ada/.slate/mlflow.db"),
        ("sqlite:////home/ada/my shop (2)/a@b#c/mlflow.db", "sqlite:////home/ada/my shop (2)/a@b#c/mlflow.db"),
        ("sqlite:///my shop.db?key=x", "sqlite://***"),
        ("sqlite://ada:x y@host/db", "sqlite://***"),
        ("redis://:a/b@host", "redis://***"),
        ("localhost:6379", "localhost:6379"),
        ("ada:x@localhost", "***"),
        ("", ""),
    ],
)
def test_an_address_is_printed_without_its_secrets(url: str, shown: str) -> None:
    assert printable_address(url) == shown


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12).map(
    lambda one: f"XX{one}XX"
)


@given(SECRETS, st.sampled_from(["redis://:{}@host:1/0", "redis://u:{}@host", "redis://host/0?password={}", "{}@host"]))
def test_no_password_however_it_is_written_is_ever_printed(secret: str, form: str) -> None:
    assert "XX" not in printable_address(form.format(secret))


@given(SECRETS, st.sampled_from(["redis://host:1/0", "redis://u@host", "unix:///run/redis.sock?db=1"]))
def test_a_password_that_stands_beside_an_address_may_hold_anything(secret: str, url: str) -> None:
    whole = with_password(url, secret)
    assert is_well_written(whole)
    assert with_password(whole, "another") == whole
    assert printable_address(whole).endswith(url.partition("://")[2].removeprefix("u@"))
