"""### Bring served traffic back: what was shown, and what people did with it

Once an hour: read the event log in Redis behind where the last collection ended, and put what is there into one file a
day under `SLATE_HOME/traffic`. The next training takes it: its worktree gets the days as they are when it is prepared.

It is paused until somebody switches it on. `slate traffic collect --watch` does the same once a minute.

#### When it is red

- **collect**: "records were cut off": more came in an hour than the log keeps; what was there is collected, and what
  was cut off is gone. Run it more often. "not the one that was read last": Redis was emptied; nothing needs to be done.
  Otherwise Redis is not reachable (`slate status`): the next run takes everything, nothing is doubled.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG
from plugins.slate_step import SlateStep  # beside this file, which Airflow puts on the path

REPOSITORY = str(Path(__file__).parents[1])

with DAG(
    dag_id="collect_traffic",
    description="Bring impressions and events from the event log into day partitions",
    doc_md=__doc__,
    schedule=timedelta(hours=1),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),  # any day in the past: it looks at how things stand, not at a period
    catchup=False,
    is_paused_upon_creation=True,  # whoever does not train on served traffic needs none of it
    max_active_runs=1,  # a second one would only wait for the first
    max_active_tasks=1,
    default_args={
        "retries": 0,  # a second try would find no loss any more, and turn the run green
        "execution_timeout": timedelta(minutes=30),  # a million records take about a minute
    },
    tags=["slatework"],
) as dag:
    collect = SlateStep(
        task_id="collect",
        bash_command="exec slate traffic collect",
        cwd=REPOSITORY,
        do_xcom_push=False,
    )
