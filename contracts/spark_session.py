"""The one Spark session of a process, for whatever a parameter or an option asks Spark for.

Spark is an extra: nothing here imports it before it is asked for.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from functools import cache
from typing import Any

from contracts.errors import EngineMissing

# Of a session that nobody configured otherwise (spark-defaults.conf, SPARK_REMOTE, spark-submit): this machine alone.
SPARK_DEFAULTS = {
    "spark.master": "local[*]",
    "spark.app.name": "slatework",
    "spark.sql.shuffle.partitions": "16",
    "spark.ui.enabled": "false",
}
DRIVER_MEMORY = "4g"
# Without these the values would differ; they are not a matter of taste.
SPARK_NEEDED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # a sum that overflows raises instead of wrapping around
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
ARITHMETIC = ("OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS")  # see contracts/arithmetic.py
BY_PARAMETER, INSTEAD = "`features.engine: spark`", "keep `features.engine: duckdb` in params.yaml"


def check_spark(asked_by: str = BY_PARAMETER, instead: str = INSTEAD) -> None:
    """Raise EngineMissing when Spark cannot start here, saying what to install, or what to do `instead`."""
    if importlib.util.find_spec("pyspark") is None:
        raise EngineMissing(
            f"Spark, which {asked_by} asks for, is not installed here: there is no pyspark.",
            f"Install it with `make spark`, or {instead}.",
        )
    if "SPARK_REMOTE" not in os.environ and java() is None:
        raise EngineMissing(
            f"Spark, which {asked_by} asks for, needs Java; there is none in JAVA_HOME or on PATH.",
            f"Install Java 17 or 21 (Debian: `apt-get install openjdk-17-jre-headless`), or {instead}.",
        )


def java() -> str | None:
    """The Java that Spark would start; None where there is none."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")


def spark_session(asked_by: str = BY_PARAMETER, instead: str = INSTEAD) -> Any:
    """The session that runs here already, or a new one, as Spark's own configuration says.

    Python in its executors is this one, where the configuration names no other, and computes as this process does.
    Raises EngineMissing as `check_spark` does.
    """
    check_spark(asked_by, instead)
    from pyspark.sql import SparkSession  # noqa: PLC0415 - an extra, and a second to import

    if "SPARK_REMOTE" not in os.environ and SparkSession.getActiveSession() is None:
        _start_context()
    session = SparkSession.builder.getOrCreate()
    for key, value in SPARK_NEEDED.items():
        session.conf.set(key, value)
    return session


def _start_context() -> None:
    """A context of Spark's own configuration, and SPARK_DEFAULTS where that says nothing.

    What it says is known once its Java runs, and not before: by then the memory of a driver in this process is set.
    """
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 - an extra

    gateway = _java_of_spark()
    configured = SparkConf(_jvm=gateway.jvm)
    if not configured.contains("spark.pyspark.python"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    in_executors = {f"spark.executorEnv.{name}": os.environ[name] for name in ARITHMETIC if name in os.environ}
    for key, value in (SPARK_DEFAULTS | in_executors).items():
        configured.setIfMissing(key, value)
    SparkContext(conf=configured, gateway=gateway)


@cache
def _java_of_spark() -> Any:
    """One for the process, also when a session was stopped."""
    from pyspark import SparkConf, java_gateway  # noqa: PLC0415 - an extra

    launch: Any = java_gateway.launch_gateway  # has no types where Spark is installed, and is unknown where it is not
    os.environ.setdefault("SPARK_DRIVER_MEMORY", DRIVER_MEMORY)  # of all ways to say it the one that counts last
    # Spark takes this process for a shell, and would draw bars across our own progress.
    return launch(SparkConf(loadDefaults=False).set("spark.ui.showConsoleProgress", "false"))
