"""`slate journal`: what was asked, decided and switched, and what was in production when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import AsJson, print_result, table
from cli.parameters import load_settings
from contracts.errors import RegistryError
from contracts.home import find_home

if TYPE_CHECKING:
    from release.journal.entries import Entry
    from release.journal.journal import Journal
    from release.journal.standing import Standing

LENGTH = 20
COLUMNS = ("id", "ts", "action", "phase", "version", "release_id", "epoch", "requester", "reason")

group = typer.Typer(invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    app.add_typer(group, name="journal")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment.astimezone(UTC)  # of the first and last day of the calendar, some have no UTC
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is no time; write it like 2026-11-01T12:00Z") from None
    if moment.tzinfo is None:
        full = moment.isoformat()
        raise typer.BadParameter(f"{text!r} names no zone; write {full}Z for UTC, or an offset such as {full}+01:00")
    return moment


@group.callback()
def journal(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option(help="Entries shown, the latest; 0 shows all.", min=0)] = LENGTH,
    at: Annotated[
        datetime | None,
        typer.Option(
            help="Say what was in production then, such as 2026-11-01T12:00Z.", parser=_moment, metavar="TIME"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show requests, decisions and switches: when, by whom and why.

    \b
    The actions:
      promote, rollback  the pointer moves to another release, or back to one
      refresh            the pointer moves to fresher values of its release
      rebuild            the lost pointer is set to what the journal says
      stage              a version becomes the release in Staging, or none is
      canary             a share of people got a release candidate; share changed; ended
      refuse             a request was refused
      registry_write     what is true is written to MLflow
      observe            MLflow changed and asked for nothing: a new version, say
      identify           somebody put a token on a version
      record             the commit that gives a release back was made
      collect            old generations were removed from Redis
    """
    if context.invoked_subcommand:
        return
    if at is not None:
        standing = _open().at(at)
        print_result(standing.to_json(), as_json, "\n".join(_standing_lines(standing)))
        return
    rows = [entry.to_json() for entry in (_open().latest(limit) if limit else _open().entries())]
    shown = [{**row, "ts": row["ts"][:19], "reason": " ".join(row["reason"].split())} for row in rows]
    print_result(rows, as_json, table(shown, COLUMNS) or "the journal is empty")


@group.command()
def verify(
    *,
    since_last: Annotated[
        bool,
        typer.Option("--since-last", help="Only what came since the last check with this option; quicker, sees less."),
    ] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="Remove checkpoints that are not what sound entries come to.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check that no entry was changed or removed; for the last entries, compare with the hash kept in MLflow."""
    from release.registry.registry import Registry

    if since_last and retire:
        raise typer.BadParameter("--retire looks at all entries; leave out --since-last")
    try:
        head, why = Registry(find_home(), load_settings().app).journal_head(), "MLflow was told of none yet"
    except RegistryError as error:
        head, why = None, error.problem
    checked = _open().verify(head, since_last=since_last, retire=retire)
    known = int(head.partition(":")[0]) if head else None
    result = {
        "entries": checked.n_entries,
        "checked_from": checked.checked_from,
        "sound": True,
        "kept_elsewhere": known,
        "retired_checkpoints": [checkpoint.entry_id for checkpoint in checked.retired],
    }
    which = "each" if checked.checked_from == 1 else f"each from entry {checked.checked_from} on"
    end = f"entry {known} is the one MLflow was told of" if head else f"some may be cut off at the end: {why}"
    lines = [f"{checked.n_entries} entries, {which} follows from the one before; {end}"]
    lines += [f"{checkpoint.name} was not what they come to, and is removed" for checkpoint in checked.retired]
    print_result(result, as_json, "\n".join(lines))


def _open() -> Journal:
    from release.journal.journal import Journal

    return Journal(find_home(), load_settings().app)


def _standing_lines(standing: Standing) -> list[str]:
    lines = [f"at {standing.moment.isoformat()}"]
    entry, since = standing.production, standing.since
    if entry is None or since is None:
        lines.append("production  nothing: no release had been put there")
    else:
        lines.append(f"production  {_release(entry)}, since {_change(since)}")
        if since.id != entry.id:
            lines.append(f"            this generation since {_change(entry)}")
    staging = standing.staging
    lines.append(f"staging     {_release(staging)}, since {_change(staging)}" if staging else "staging     nothing")
    if standing.switching:
        lines.append(
            f"switching   to {_release(standing.switching)}, begun {_change(standing.switching)}; noted as done later"
        )
    return lines


def _release(entry: Entry) -> str:
    return f"release {entry.release_id} generation {entry.generation_id} (version {entry.version})"


def _change(entry: Entry) -> str:
    return (
        f"{entry.ts.isoformat(timespec='seconds')} by {entry.requester}, {entry.action}: {entry.reason or 'no reason'}"
    )
