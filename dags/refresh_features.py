"""### Serve fresher feature values with the models that are in production

Reads the source again, validates it, computes every feature as of the end of the data, publishes the values under a
generation of their own, and moves the pointer to them in one step. The models, the index and the ranker stay.

| task | does |
| --- | --- |
| `prepare` | makes a worktree at the commit of the release in production: its code computes the values |
| `ingest`, `validate`, `features` | the stages of the same name |
| `refresh` | publishes the values and switches; every answer from then on names the new generation |
| `forget` | removes the worktree |

It is paused until somebody switches it on: the default source does not change by itself.

#### When a task is red

What was served is still served; the log ends with what to do.

- **prepare**: nothing is in production, or its release was built from uncommitted source, and so has no tag
  `release/<id>`. Commit that and run `slate register` there, or train with `train_recommender`.
- **ingest**, **validate**, **features**: as in `train_recommender`. Bad data never reaches production this way.
- **refresh**: the values are older than those served, or Redis refused them. Without newer data it ends green.
- **forget**: git could not remove the worktree: `slate workspace list`, `slate workspace remove --run-id ID`.

To go back to the values before: the release's own are a `slate rollback RELEASE` away.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, chain
from plugins.slate_step import SlateStep  # beside this file, which Airflow puts on the path

REPOSITORY = str(Path(__file__).parents[1])
RUN = {"SLATE_RUN_ID": "{{ run_id }}", "SLATE_DAG": "refresh_features"}


def step(task_id: str, command: str) -> SlateStep:
    """The task that calls `slate workspace` for this run."""
    return SlateStep(
        task_id=task_id,
        bash_command=f'exec slate workspace {command} --run-id="$SLATE_RUN_ID"',
        env=RUN,
        cwd=REPOSITORY,
        do_xcom_push=False,
    )


with DAG(
    dag_id="refresh_features",
    description="Publish fresher feature values for the release in production",
    doc_md=__doc__,
    schedule=timedelta(hours=1),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),  # any day in the past: it looks at how things stand, not at a period
    catchup=False,
    is_paused_upon_creation=True,  # MovieLens does not change by itself; whoever has data that does switches it on
    max_active_runs=1,  # a second refresh would publish what the first publishes
    max_active_tasks=1,
    default_args={
        "retries": 2,  # a service that restarts in the middle costs one
        "retry_delay": timedelta(seconds=20),
        "execution_timeout": timedelta(hours=1),  # longer than the pause between two, and something hangs
    },
    tags=["slatework"],
) as dag:
    prepare = step("prepare", 'prepare --ref="release in production"')
    ingest = step("ingest", "run ingest")
    validate = step("validate", "run validate")
    features = step("features", "run features")
    refresh = step("refresh", "run refresh")
    forget = step("forget", "remove")

    chain(prepare, ingest, validate, features, refresh, forget)
