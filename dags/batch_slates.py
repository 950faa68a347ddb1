"""### Write a slate for everybody, for a newsletter, a cache or another system

Once a day: `slate batch` answers every person of the generation that is served, through the path that the API takes,
and writes Parquet files into a folder of this run: `<out>/<moment>/part-*.parquet`, one row per person and position.

It is paused until somebody switches it on. Trigger it with another folder, length or list of people.

#### When it is red

- **batch**: "nothing is in production": promote a release first. "had to do without": Redis or a file of the release
  was away; the warning above names it. "holds slates of": the folder is of another release: this run was cleared after
  a promotion; trigger it anew. What was written stays: cleared, the task goes on where it stopped.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Param
from plugins.slate_step import SlateStep  # beside this file, which Airflow puts on the path

REPOSITORY = str(Path(__file__).parents[1])

with DAG(
    dag_id="batch_slates",
    description="Write a slate for everybody into Parquet files",
    doc_md=__doc__,
    schedule=timedelta(days=1),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),  # any day in the past: it looks at how things stand, not at a period
    catchup=False,
    is_paused_upon_creation=True,  # whoever asks the API needs none of it
    max_active_runs=1,  # a second one would answer the same people on the same cores
    max_active_tasks=1,
    params={
        "out": Param(
            "slates",
            type="string",
            minLength=1,
            title="Folder",
            description="Each run writes a folder of its own in it; a relative path starts at the checkout.",
        ),
        "k": Param(20, type="integer", minimum=1, maximum=500, title="Items in each slate"),
        "people": Param(
            None,
            type=["null", "string"],
            title="People",
            description="A Parquet or CSV file with a column `user_id`; empty: everybody.",
        ),
        "engine": Param(
            "processes",
            type="string",
            enum=["processes", "spark"],
            title="Engine",
            description="Processes of this machine, or Spark, as its own configuration says.",
        ),
    },
    default_args={
        "retries": 1,  # goes on where it stopped: a service that restarts in the middle costs one
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=12),  # a million people take an hour or less; the next day's run waits
    },
    tags=["slatework"],
) as dag:
    batch = SlateStep(
        task_id="batch",
        bash_command='exec slate batch --out="$SLATE_OUT" --k="$SLATE_K" ${SLATE_PEOPLE:+--people="$SLATE_PEOPLE"}'
        ' --engine="$SLATE_ENGINE"',
        env={
            "SLATE_OUT": "{{ params.out }}/{{ ts_nodash }}",
            "SLATE_K": "{{ params.k }}",
            "SLATE_PEOPLE": "{{ params.people or '' }}",
            "SLATE_ENGINE": "{{ params.engine }}",
        },
        cwd=REPOSITORY,
        do_xcom_push=False,
    )
