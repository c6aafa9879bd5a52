"""The commands of a party (`sign`, `state`, `respond`, `opt`, `prove`) and their options; nothing else.

Exit codes of all: 0 done, 1 the service refused, 2 not sent, 3 nobody knows whether it was taken: look first.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="What a party does through its party.toml.")

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
Attach = Annotated[
    list[Path] | None,
    typer.Option(help="A document whose digest stands in the record, such as a claim; may be given again."),
]
AttachSubject = Annotated[str | None, typer.Option(help="Whom the attached documents are about.")]


def group(what: str) -> typer.Typer:
    """A group of a party's commands."""
    return typer.Typer(
        help=f"{what} Exit 0 done, 1 the service refused, 2 not sent, 3 unknown: look before asking again.",
        no_args_is_help=True,
    )


@app.command()
def sign(
    party: Party,
    type_name: Type,
    record: File,
    stream: Stream = None,
    subject: Subjects = None,
    attach: Attach = None,
    attach_subject: AttachSubject = None,
    out: Annotated[Path | None, typer.Option(help="Write it here; must not exist. Else it is printed.")] = None,
) -> None:
    """Sign a record and send nothing: exit 0 signed, 2 not; the JSON is the body for the record's resource."""
    from api.cli import party_acts as command

    attached = command.Attached(attach or (), attach_subject)
    raise typer.Exit(
        command.sign(party, type_name, record, stream=stream, subjects=subject or (), attached=attached, out=out)
    )


@app.command()
def state(
    party: Party,
    type_name: Type,
    record: File,
    stream: Stream = None,
    subject: Subjects = None,
    attach: Attach = None,
    attach_subject: AttachSubject = None,
    json: Json = False,
) -> None:
    """Sign a record, send it, verify its receipt: exit 0 taken, 1 refused, 2 not sent, 3 unknown."""
    from api.cli import party_acts as command

    attached = command.Attached(attach or (), attach_subject)
    raise typer.Exit(
        command.state(party, type_name, record, stream=stream, subjects=subject or (), attached=attached, json=json)
    )


@app.command()
def respond(party: Party, record: File, subject: Subjects = None, json: Json = False) -> None:
    """Answer a request (`fsr.answered`) as its port: exit 0 taken, 1 refused, 2 not sent, 3 unknown."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "fsr.answered", record, subjects=subject or (), json=json))


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


@app.command()
def declare(party: Party, record: File, json: Json = False) -> None:
    """Say by which ids others know the party (`party.declared`): exit 0 taken, 1 refused, 2 not sent, 3 unknown."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "party.declared", record, json=json))
