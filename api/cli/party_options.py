"""The commands of a party (`sign`, `state`, `request ...`, `respond`, `opt`, `prove`) and their options; nothing else.

Exit codes of all: 0 done, 1 the service refused, 2 not sent, 3 nobody knows whether it was taken: look first.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What a party does through its party.toml.")
request_app = typer.Typer(
    help="Requests. Exit 0 done, 1 the service refused, 2 not sent, 3 unknown: look before asking again.",
    no_args_is_help=True,
)
app.add_typer(request_app, name="request")

Party = Annotated[Path, typer.Argument(help="The party's file (party.toml): service, trust and keys.")]
Type = Annotated[str, typer.Argument(help="The record's type, such as fsr.cancelled.")]
File = Annotated[Path, typer.Argument(help="The record in clear (JSON).")]
Fsr = Annotated[str, typer.Argument(help="The request.")]
Stream = Annotated[str | None, typer.Option(help="Where the record's own members name no stream.")]
Subjects = Annotated[
    list[str] | None, typer.Option("--subject", help="MEMBER=ID: whom a personal member is about; may be given again.")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


@app.command()
def sign(
    party: Party,
    type_name: Type,
    record: File,
    stream: Stream = None,
    subject: Subjects = None,
    out: Annotated[Path | None, typer.Option(help="Write it here; must not exist. Else it is printed.")] = None,
) -> None:
    """Sign a record and send nothing: exit 0 signed, 2 not; the JSON is the body for the record's resource."""
    from api.cli import party_acts as command

    raise typer.Exit(command.sign(party, type_name, record, stream=stream, subjects=subject or (), out=out))


@app.command()
def state(
    party: Party, type_name: Type, record: File, stream: Stream = None, subject: Subjects = None, json: Json = False
) -> None:
    """Sign a record, send it, verify its receipt: exit 0 taken, 1 refused, 2 not sent, 3 unknown."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, type_name, record, stream=stream, subjects=subject or (), json=json))


@app.command()
def respond(party: Party, record: File, subject: Subjects = None, json: Json = False) -> None:
    """Answer a request (`fsr.answered`) as its port: exit 0 taken, 1 refused, 2 not sent, 3 unknown."""
    from api.cli import party_acts as command

    raise typer.Exit(command.respond(party, record, subjects=subject or (), json=json))


@app.command()
def opt(
    party: Party,
    fsr_id: Fsr,
    participation: Annotated[str, typer.Argument(help="The participation's random id.")],
    choice: Annotated[str, typer.Argument(help="in or out.")],
    reason: Annotated[str | None, typer.Option(help="Why, of a closed list; it is personal and stays hidden.")] = None,
    revision: Annotated[int, typer.Option(min=1, help="The revision of the request that is meant.")] = 1,
    json: Json = False,
) -> None:
    """Opt a participation in or out, by the party's own right: exit 0 taken, 1 refused, 2 not sent, 3 unknown."""
    from api.cli import party_acts as command

    code = command.opt(party, fsr_id, participation, choice=choice, reason=reason, revision=revision, json=json)
    raise typer.Exit(code)


@app.command()
def prove(party: Party, fsr_id: Fsr, json: Json = False) -> None:
    """Make the proof of work of an ended request: exit 0 on record, 1 refused, 2 not sent, 3 unknown."""
    from api.cli import party_acts as command

    raise typer.Exit(command.prove(party, fsr_id, json=json))


@request_app.command("issue")
def request_issue(party: Party, record: File, json: Json = False) -> None:
    """Ask for flexibility (`fsr.issued`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.issue(party, record, json=json))


@request_app.command("list")
def request_list(
    party: Party,
    status: Annotated[str | None, typer.Option(help="Only in this state, such as ACTIVE.")] = None,
    site: Annotated[str | None, typer.Option(help="Only for this site.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List the requests that concern the party."""
    from api.cli import party_acts as command

    raise typer.Exit(command.requests(party, status=status, site=site, limit=limit, json=json))


@request_app.command("show")
def request_show(party: Party, fsr_id: Fsr, json: Json = False) -> None:
    """Show one request: state, participations, proof."""
    from api.cli import party_acts as command

    raise typer.Exit(command.show(party, fsr_id, json=json))


@request_app.command("log")
def request_log(party: Party, fsr_id: Fsr, limit: Limit = 100, json: Json = False) -> None:
    """Show what was recorded of one request, newest first."""
    from api.cli import party_acts as command

    raise typer.Exit(command.log(party, fsr_id, limit=limit, json=json))


@request_app.command("cancel")
def request_cancel(
    party: Party,
    fsr_id: Fsr,
    reason: Annotated[str, typer.Option(help="Why, of a closed list.")] = "NO_LONGER_NEEDED",
    json: Json = False,
) -> None:
    """Cancel a request before its start."""
    from api.cli import party_acts as command

    raise typer.Exit(command.cancel(party, fsr_id, reason=reason, json=json))


@request_app.command("bundle")
def request_bundle(
    party: Party,
    fsr_id: Fsr,
    out: Annotated[Path, typer.Option(help="Write it here; must not exist.")],
    json: Json = False,
) -> None:
    """Fetch the evidence of one request, for `flexledger verify`."""
    from api.cli import party_acts as command

    raise typer.Exit(command.bundle(party, fsr_id, out=out, json=json))
