"""Run in a process of its own: run commands as tasks, and print as JSON what Airflow is told of each.

python run_slate_steps.py FOLDER '["exit 1", ...]'
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

from plugins.slate_step import SlateStep


def outcome(command: str) -> list[str]:
    step = SlateStep(task_id="step", bash_command=command, env={"ONE": "1"}, do_xcom_push=False)
    try:
        step.execute({})
    except Exception as error:  # noqa: BLE001 - whatever Airflow would be told
        return [type(error).__name__, str(error)]
    return ["", ""]


sys.stdout.write(json.dumps([outcome(command) for command in json.loads(sys.argv[2])]) + "\n")
