"""Run in a process of its own: parse the DAGs of a folder as Airflow does, and print what they are as JSON.

    python describe_dags.py FOLDER '{"run_id": ..., "params": {...}}'

A process of its own, because Airflow makes a home and a logging setup when it is imported.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

FOLDER, CONTEXT = Path(sys.argv[1]), json.loads(sys.argv[2])
KEY = SimpleNamespace(run_id="manual 1+1/2&3")  # all that our links look at


def describe(dag) -> dict:
    return {
        "doc": dag.doc_md,
        "description": dag.description,
        "max_active_runs": dag.max_active_runs,
        "max_active_tasks": dag.max_active_tasks,
        "catchup": dag.catchup,
        "params": {name: dag.params.get_param(name).schema for name in dag.params},
        "order": [task.task_id for task in dag.topological_sort()],
        "tasks": {task.task_id: describe_task(task) for task in dag.tasks},
    }


def describe_task(task) -> dict:
    # What the task itself or its DAG's default_args decided; Airflow's own defaults do not count as a decision.
    decided = {**task.dag.default_args, **task._BaseOperator__init_kwargs}
    # What somebody who triggers it leaves as it is, and what the test asks for instead.
    params = {**{name: task.dag.params.get_param(name).value for name in task.dag.params}, **CONTEXT["params"]}
    task.render_template_fields({**CONTEXT, "params": params, "dag": task.dag, "task": task})
    return {
        "downstream": sorted(task.downstream_task_ids),
        "retries": decided.get("retries"),
        "execution_timeout": str(decided.get("execution_timeout") or ""),
        "links": {link.name: link.get_link(task, ti_key=KEY) for link in task.operator_extra_links},
        "command": task.bash_command,
        "env": task.env,
        "append_env": task.append_env,
        "cwd": task.cwd,
        "do_xcom_push": task.do_xcom_push,
    }


def main() -> None:
    from airflow.dag_processing.dagbag import BundleDagBag

    before = set(sys.modules)
    bag = BundleDagBag(FOLDER, bundle_path=FOLDER, bundle_name="dags-folder")
    answer = {
        "errors": bag.import_errors,
        "new_modules": sorted(set(sys.modules) - before),
        "dags": {name: describe(dag) for name, dag in bag.dags.items()},
    }
    sys.stdout.write(json.dumps(answer) + "\n")


main()
