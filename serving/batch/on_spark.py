"""Parts of a batch answered on Spark: they go out as rows, slates come back, and this process writes them.

Every executor needs this package, and finds the home's bundles and values under the same path, and the online store at
the same address. It loads the release once for each of its Python processes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from contracts.errors import SlateworkError
from contracts.spark_session import spark_session
from serving.batch.part_answers import BatchJob, Part, PartAnswers
from serving.batch.parts import write_part

if TYPE_CHECKING:
    import pyarrow as pa


def written_on_spark(job: BatchJob, parts: Iterable[Part]) -> Iterator[int]:
    """Write the slates of each part; yields how many people a part had, as parts are done.

    A job of Spark is `spark.sql.shuffle.partitions` parts, which this process holds at once.
    Raises EngineMissing without Spark, and what a part died of.
    """
    session = spark_session("`--engine spark`", "leave `--engine` out")
    coming, n_in_a_job = iter(parts), int(session.conf.get("spark.sql.shuffle.partitions"))
    while some := list(islice(coming, n_in_a_job)):
        for number, answered in _answered(session, job, some):
            if isinstance(answered, SlateworkError):
                raise answered
            write_part(job.folder, number, answered)
        yield from (len(part.user_ids) for part in some)


def _answered(session: Any, job: BatchJob, parts: list[Part]) -> Iterator[tuple[int, Any]]:
    """(number, slates or an error) of each part; a partition of Spark for each of them."""
    import pyarrow as pa  # noqa: PLC0415 - see `_answer_rows`

    rows = session.createDataFrame(pa.table({"part": [pickle.dumps(part) for part in parts]}))
    answered = rows.repartition(len(parts)).mapInArrow(_answering_for(job), "answered binary").toArrow()
    return (pickle.loads(value) for value in answered["answered"].to_pylist())  # noqa: S301 - from processes of ours


def _answering_for(job: BatchJob) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    return partial(_answer_rows, job)


def _answer_rows(job: BatchJob, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """In a process of an executor: a row of pickled bytes for each row of pickled bytes."""
    import pyarrow as pa  # noqa: PLC0415 - a second, which only those wait for who ask for Spark

    for batch in batches:
        answered = [pickle.dumps(_answer(job, pickle.loads(value))) for value in batch["part"].to_pylist()]  # noqa: S301
        yield pa.RecordBatch.from_pydict({"answered": answered}, pa.schema([("answered", pa.binary())]))


def _answer(job: BatchJob, part: Part) -> tuple[int, Any]:
    try:
        return part.number, _answers_of(job).slates_of(part)
    except SlateworkError as error:  # told as it is at the other end, where Spark would tell a traceback in Java
        return part.number, error


@lru_cache(1)
def _answers_of(job: BatchJob) -> PartAnswers:
    return PartAnswers.begin(job)
