"""### Carry out what was asked for in MLflow: the backup of `slate sync --watch`

Every five minutes: look at the stages and aliases of the registered model, let the gates decide what changed, and make
production follow or write the refusal on the version. `slate sync --watch`, one of the processes of `slate up`, does
the same every few seconds; this DAG is there for the day on which that process is not.

#### When it is red

- **sync**: the log's last message says what is not reachable (`slate status`, `slate doctor`). Nothing is half done:
  the journal holds the intent, and the next run goes on from it. `slate journal` tells what was decided and why.
- A promotion that was refused is not red: the reasons are on the version in MLflow and in `slate journal`.
- What is served is wrong: `slate rollback`, then look.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG
from plugins.slate_step import SlateStep  # beside this file, which Airflow puts on the path

REPOSITORY = str(Path(__file__).parents[1])

with DAG(
    dag_id="promote_recommender",
    description="Make production follow what was asked for in MLflow",
    doc_md=__doc__,
    schedule=timedelta(minutes=5),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),  # any day in the past: it looks at how things stand, not at a period
    catchup=False,
    is_paused_upon_creation=False,  # a backup that has to be switched on is none
    max_active_runs=1,  # the pointer moves by compare-and-set: a second sync could only lose
    max_active_tasks=1,
    default_args={
        "retries": 0,  # the next run is the retry
        "execution_timeout": timedelta(minutes=30),  # a first publish of many entities; else seconds
    },
    tags=["slatework"],
) as dag:
    sync = SlateStep(
        task_id="sync",
        bash_command="exec slate sync",
        cwd=REPOSITORY,
        do_xcom_push=False,
    )
