"""Whether Spark can run here, and a small one: for tests that compare the engines."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tests.left_out import needed

# Spark reads this when its JVM starts. A few rows are worth neither 200 tasks a shuffle nor Java's second compiler.
SMALL_SPARK = (
    "--master local[2] --conf spark.sql.shuffle.partitions=2"
    ' --driver-java-options "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" pyspark-shell'
)
_has_spark = needed(
    importlib.util.find_spec("pyspark") and shutil.which("java"),
    "Spark: `make spark`, and Java 17 or 21 on PATH (Debian: openjdk-17-jre-headless)",
)


def needs_spark(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run the test with a small Spark, or leave it out, loudly."""
    return _has_spark(pytest.mark.usefixtures("small_spark")(test))
