"""Run in a process of its own: ask for the pages behind the buttons on tasks, and print as JSON what comes.

python ask_run_pages.py FOLDER '["/validation?run_id=1", ...]'
"""

import json
import sys

sys.path.insert(0, sys.argv[1])

from fastapi.testclient import TestClient
from plugins import run_pages


def asked(client: TestClient, path: str) -> list:
    answer = client.get(path, follow_redirects=False)
    return [answer.status_code, answer.headers.get("location", ""), answer.text]


paths = json.loads(sys.argv[2])
with TestClient(run_pages.app) as client:
    strangers = [asked(client, path) for path in paths]
    run_pages.app.dependency_overrides[run_pages.get_user] = lambda: None
    sys.stdout.write(json.dumps([strangers, [asked(client, path) for path in paths]]) + "\n")
