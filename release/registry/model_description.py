"""What stands on the page of the registered model in MLflow: how a version is promoted here."""

from __future__ import annotations

from typing import Final

# Markdown: the lines of a paragraph are one.
MODEL_DESCRIPTION: Final = """\
Each version is a release of Slatework. **To promote one**, give it the alias `production` on its page (or `staging`),
or set its stage: the menu of stages is hidden until the switch *New model registry UI* at the top right of that
page is off. Within seconds the gates decide. Accepted: the servers follow. Refused: everything is put back, and the
version's description says why. On the command line: `slate promote VERSION`; back again: `slate rollback`.

The button *Promote model* copies a version, and asks for nothing: a copy counts as the version that it copies.

The README and `docs/runbook.md` of the checkout say more: what each gate asks, who may promote, canaries.
`slate status` prints the addresses of Airflow, of this server and of the API: its `/docs` and `/readyz` show what is
served.
"""
