"""### Train a recommender, from data to a registered release

Runs the stages of `dvc.yaml`, one task a stage, in a git worktree that belongs to this run alone. Trigger it with a
git ref, a data source, and overrides of `params.yaml`; the defaults train what is committed.

| task | does | leaves behind |
| --- | --- | --- |
| `prepare` | makes the worktree at `ref`, with the overrides in its `params.yaml` | `SLATE_HOME/worktrees/<run>` |
| `ingest` to `release` | the stages of the same name; what is unchanged comes out of DVC's cache | the bundle |
| `register` | logs the run to MLflow and registers the release, once per release id | a version of the model |
| `publish` | writes the feature values to Redis, where nothing is served from them yet | a receipt |
| `record` | commits `params.yaml` and `dvc.lock`, tags the commit `release/<id>` | the commit on the version |

On `validate`, `evaluate` and `register` a button leads to what they made: the page of the validation, the reports in
MLflow (once the run is registered), the run in MLflow. They open in the same tab, as Airflow has it for
links to its own address; Ctrl (on a Mac, Cmd) and a click opens another.

`record` also pushes the data to the DVC remote and asks for the promotion that `promotion.after_training` names.
Uncommitted edits of the checkout are not in a run: the log of `prepare` lists them. A run on unchanged inputs ends
green and names the version that exists.

#### When a task is red

The log ends with one message: what was found, what was expected, what to do next. The worktree is kept until the run
succeeds, so that `cd SLATE_HOME/worktrees/<run>` and `dvc repro <stage>` show the same failure by hand.

- **prepare**: the ref names no commit, or an override is misspelt or out of range. Mend the form in a new run.
- **ingest**: the source is not reachable, or its hash differs. Once downloaded it is read offline: clear the task.
- **validate**: the data broke a rule. The message names rule, count and rows; bad rows are in `data/quarantine`;
  the button *Validation* on the task opens the page about it.
  Mend the source, or change the rule in `params.yaml` and say why in the commit. Never clear it in the hope of luck.
- **features, candidates, index, ranking, evaluate, release**: the same data and code fail the same way. After a crash
  of the machine, clear the task; else mend the code, commit, clear the run from `prepare` on (it takes the new commit).
- **register, record**: MLflow is not reachable: see `slate status`, then clear the task. Both may be repeated: nothing
  is registered, committed or tagged twice.
- **publish**: Redis is not reachable, or was flushed meanwhile: clear the task, it writes only what is missing.
- **A task waits and names another process**: somebody runs DVC in this run's worktree. It goes on when they are done.

A task that is cleared when the run is over works: its worktree is made again from the run's commit.
To be rid of a failed run: `slate workspace list`, `slate workspace remove --run-id ID`. To undo what a run promoted:
`slate rollback`.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param, chain
from plugins.run_links import EvaluationLink, MlflowLink, ValidationLink  # beside this file, where Airflow looks
from plugins.slate_step import SlateStep

REPOSITORY = str(Path(__file__).parents[1])
FROM_PARAMS = "as in params.yaml"

# What a person typed travels in the environment and is quoted where it is used: never part of a shell command.
FORM = {
    "SLATE_RUN_ID": "{{ run_id }}",
    "SLATE_REF": "{{ params.ref }}",
    "SLATE_SOURCE": "{{ '' if params.source == '" + FROM_PARAMS + "' else params.source }}",
    "SLATE_OVERRIDES": "{{ params.overrides | tojson }}",
}
RUN = {"SLATE_RUN_ID": "{{ run_id }}"}


def stage(name: str) -> SlateStep:
    """The task that runs the step of this name in the run's workspace."""
    return SlateStep(
        task_id=name,
        bash_command=f'exec slate workspace run {name} --run-id="$SLATE_RUN_ID"',
        env=RUN,
        cwd=REPOSITORY,
        do_xcom_push=False,  # its output is a log, not a value
    )


with DAG(
    dag_id="train_recommender",
    description="Train, evaluate, register and publish a release of the recommender",
    doc_md=__doc__,
    schedule=None,  # the source does not change by itself: a person, or whoever delivers new data, triggers a run
    catchup=False,
    is_paused_upon_creation=False,  # without a schedule there is nothing to hold back, and a trigger should run
    max_active_runs=1,  # stages use every core: two runs side by side end no sooner, and need twice the memory
    max_active_tasks=1,  # the graph is a chain
    default_args={
        "retries": 2,  # `slate down` in the middle of a task costs one, a crowded start after it another
        "retry_delay": timedelta(seconds=20),  # long enough for a service that restarts
        "execution_timeout": timedelta(hours=2),  # ten times the largest set this machine is meant for; then it hangs
    },
    params={
        "ref": Param(
            "HEAD",
            type="string",
            minLength=1,
            title="Git ref",
            description="Branch, tag or commit to train. HEAD: what the checkout stands on, less uncommitted edits.",
        ),
        "source": Param(
            FROM_PARAMS,
            type="string",
            enum=[FROM_PARAMS, "movielens-100k", "movielens", "files", "simulator"],
            title="Data source",
            description="Replaces `ingest.source`. `movielens` and `files` also need their keys: docs/sources.md.",
        ),
        "overrides": Param(
            {},
            type="object",
            title="Overrides of params.yaml",
            description='Dotted keys and their values, such as `{"ranking.n_trees": 200, "seed": 8}`; not `promotion`.',
        ),
    },
    tags=["slatework"],
) as dag:
    prepare = SlateStep(
        task_id="prepare",
        bash_command=(
            'exec slate workspace prepare --run-id="$SLATE_RUN_ID" --ref="$SLATE_REF" '
            '--source="$SLATE_SOURCE" --overrides="$SLATE_OVERRIDES"'
        ),
        env=FORM,
        cwd=REPOSITORY,
        retries=0,  # a wrong form stays wrong
        execution_timeout=timedelta(minutes=10),  # a checkout takes seconds; a slow disk, a minute
    )
    ingest = stage("ingest")
    validate = stage("validate")
    validate.operator_extra_links = (ValidationLink(),)  # a button on the task
    features = stage("features")
    candidates = stage("candidates")
    index = stage("index")
    ranking = stage("ranking")
    evaluate = stage("evaluate")
    evaluate.operator_extra_links = (EvaluationLink(),)
    release = stage("release")
    register = stage("register")
    register.operator_extra_links = (MlflowLink(),)
    publish = stage("publish")
    record = SlateStep(
        task_id="record",
        bash_command='exec slate workspace record --run-id="$SLATE_RUN_ID"',
        env=RUN,
        cwd=REPOSITORY,
        do_xcom_push=False,
        retries=2,  # it speaks to git, the DVC remote and MLflow, and may be repeated at any point
        execution_timeout=timedelta(hours=1),  # the push of a large bundle to a slow remote
    )

    chain(prepare, ingest, validate, features, candidates, index, ranking, evaluate, release, register, publish, record)
