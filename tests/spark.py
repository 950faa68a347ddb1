"""Whether Spark can run here: for tests that compare the engines."""

from __future__ import annotations

import importlib.util
import shutil

from tests.left_out import needed

needs_spark = needed(
    importlib.util.find_spec("pyspark") and shutil.which("java"),
    "Spark: `make spark`, and Java 17 or 21 on PATH (Debian: openjdk-17-jre-headless)",
)
