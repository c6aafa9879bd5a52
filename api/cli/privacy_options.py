"""The commands `flexledger privacy ...` and `flexledger export ...` with their options, and nothing else."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="The privacy officer's desk at a running service. Exit 0 done, 2 not done.", no_args_is_help=True
)
reid_app = typer.Typer(help="Who is behind a pseudonym: two persons in two roles, once.", no_args_is_help=True)
app.add_typer(reid_app, name="reid")
export_app = typer.Typer(help="Exports, as their recipient sees them.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Party = Annotated[Path, typer.Option("--party", help="The officer's file (party.toml): service, trust and keys.")]
Subject = Annotated[str, typer.Argument(help="The person's id, or - to read it from the standard input.")]
Out = Annotated[Path, typer.Option("--out", help="Write the result here, mode 0600; must not exist.")]
SealTo = Annotated[
    Path | None, typer.Option("--seal-to", help="Public X25519 key (PEM): the file opens for its owner alone.")
]
Request = Annotated[str, typer.Argument(help="The request, as `reid list` shows it.")]


@app.command()
def erase(
    subject: Subject,
    party: Party,
    basis: Annotated[str, typer.Option(help="The ground of Art. 17(1), such as CONSENT_WITHDRAWN.")],
    json: Json = False,
) -> None:
    """Erase one person (Art. 17); every proof in the log still verifies."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    body = {"subject": command.subject_of(subject), "basis": basis}
    tell = text.erased
    raise typer.Exit(command.post(party, "/v1/subjects/erasure", body, json=json, tell=tell))


@app.command()
def access(subject: Subject, party: Party, out: Out, seal_to: SealTo = None, json: Json = False) -> None:
    """Fetch a person's own copy of everything, with proofs (Art. 15)."""
    from api.cli import privacy as command

    body = {"subject": command.subject_of(subject)}
    raise typer.Exit(command.fetch(party, "/v1/subjects/access", body, out, seal_to=seal_to, json=json))


@app.command()
def portability(subject: Subject, party: Party, out: Out, seal_to: SealTo = None, json: Json = False) -> None:
    """Fetch what a person may take to another controller (Art. 20)."""
    from api.cli import privacy as command

    body = {"subject": command.subject_of(subject)}
    raise typer.Exit(command.fetch(party, "/v1/subjects/portability", body, out, seal_to=seal_to, json=json))


@app.command()
def restrict(
    subject: Subject,
    party: Party,
    ground: Annotated[str, typer.Option(help="The ground of Art. 18(1), such as ACCURACY_CONTESTED.")],
    json: Json = False,
) -> None:
    """Restrict a person's data: nothing of it is opened or exported (Art. 18)."""
    from api.cli import privacy as command

    body = {"subject": command.subject_of(subject), "ground": ground}
    raise typer.Exit(
        command.post(party, "/v1/subjects/restriction", body, json=json, tell="restricted: {handle}".format_map)
    )


@app.command()
def lift(subject: Subject, party: Party, json: Json = False) -> None:
    """Lift a restriction."""
    from api.cli import privacy as command

    body = {"subject": command.subject_of(subject)}
    raise typer.Exit(
        command.post(party, "/v1/subjects/restriction/lifting", body, json=json, tell="lifted: {handle}".format_map)
    )


@app.command()
def hold(
    subject: Subject,
    party: Party,
    ground: Annotated[str, typer.Option(help="The exception of Art. 17(3), such as LEGAL_CLAIMS.")],
    json: Json = False,
) -> None:
    """Hold a person's data: neither erasure nor retention touches it."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    body = {"subject": command.subject_of(subject), "ground": ground}
    raise typer.Exit(command.post(party, "/v1/subjects/hold", body, json=json, tell=text.held))


@app.command()
def release(subject: Subject, party: Party, json: Json = False) -> None:
    """End a hold."""
    from api.cli import privacy as command

    body = {"subject": command.subject_of(subject)}
    raise typer.Exit(command.post(party, "/v1/subjects/hold/release", body, json=json, tell=lambda _found: "released"))


@app.command()
def rectify(
    subject: Subject,
    party: Party,
    index: Annotated[int, typer.Option(min=0, help="The entry that says something wrong.")],
    member: Annotated[str, typer.Option(help="The member's name, such as discharge_allowed.")],
    value: Annotated[str, typer.Option(help="The right value, as JSON.")],
    json: Json = False,
) -> None:
    """Put right what one entry says of a person (Art. 16)."""
    from api.cli import privacy as command

    said = {"index": index, "member": member, "value": command.value_of(value)}
    body = {"subject": command.subject_of(subject), **said}
    tell = "put right by entry {index}".format_map
    raise typer.Exit(command.post(party, "/v1/subjects/rectification", body, json=json, tell=tell))


@app.command()
def recipients(subject: Subject, party: Party, json: Json = False) -> None:
    """Say who received what of a person (Art. 15(1)(c))."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    body = {"subject": command.subject_of(subject)}
    raise typer.Exit(command.post(party, "/v1/subjects/recipients", body, json=json, tell=text.recipients))


@app.command()
def export(
    policy: Annotated[str, typer.Argument(help="The policy's name, as `privacy policies` shows it.")],
    recipient: Annotated[str, typer.Argument(help="The organisation that gets it.")],
    party: Party,
    out: Out,
    seal_to: SealTo = None,
    json: Json = False,
) -> None:
    """Make an export by a policy; it is on record before it is written."""
    from api.cli import privacy as command

    body = {"policy": policy, "recipient": recipient}
    raise typer.Exit(command.fetch(party, "/v1/exports", body, out, seal_to=seal_to, json=json))


@app.command()
def policies(party: Party, json: Json = False) -> None:
    """List the policies by which exports can be made."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    raise typer.Exit(command.show(party, "/v1/exports/policies", json=json, tell=text.policies))


@app.command()
def expire(party: Party, json: Json = False) -> None:
    """Let every month expire whose retention says so, now."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    raise typer.Exit(command.long_post(party, "/v1/retention/runs", {}, json=json, tell=text.expired))


@app.command()
def notices(party: Party, json: Json = False) -> None:
    """List who is still to be told of which erasure (Art. 19)."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    raise typer.Exit(command.show(party, "/v1/notices", json=json, tell=text.notices))


@app.command()
def notified(
    number: Annotated[int, typer.Argument(min=1, help="The notice's number.")], party: Party, json: Json = False
) -> None:
    """Say that a recipient was told; the pseudonym is then forgotten here too."""
    from api.cli import privacy as command

    path = f"/v1/notices/{number}/sent"
    raise typer.Exit(command.post(party, path, {}, json=json, tell=lambda _found: "noted"))


@app.command()
def receipt(
    index: Annotated[int, typer.Argument(min=0, help="The entry.")], party: Party, out: Out, json: Json = False
) -> None:
    """Fetch and verify what of one entry was erased; nothing of any other entry."""
    from api.cli import privacy as command

    raise typer.Exit(command.receipt(party, index, out, json=json))


@app.command("rotate-keys")
def rotate_keys(
    party: Party,
    destroy: Annotated[bool, typer.Option("--destroy", help="Destroy the older epochs behind a tested copy.")] = False,
    is_backed_up: Annotated[
        bool, typer.Option("--backed-up", help="You made and tested a backup yourself, as of keys on a server.")
    ] = False,
    json: Json = False,
) -> None:
    """Wrap every key under a new epoch, as operator (OPS); older backups die with --destroy."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    body = {"destroy": destroy, "is_backed_up": is_backed_up}
    path = "/v1/privacy/key-rotations"
    raise typer.Exit(command.long_post(party, path, body, json=json, tell=text.rotated))


@app.command()
def ropa(party: Party, json: Json = False) -> None:
    """Print the record of processing activities (Art. 30), as far as this software knows it."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    raise typer.Exit(command.show(party, "/v1/records-of-processing", json=json, tell=text.ropa))


@app.command("breach-scope")
def breach_scope(
    party: Party,
    recipient: Annotated[str | None, typer.Option(help="What this recipient was given; the vault if left out.")] = None,
    from_ms: Annotated[int | None, typer.Option(min=0, help="Begin of the window, Unix ms.")] = None,
    until_ms: Annotated[int | None, typer.Option(min=0, help="End of the window, Unix ms.")] = None,
    json: Json = False,
) -> None:
    """Count what a breach could have reached (Art. 33)."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    body = {"recipient": recipient, "from_ms": from_ms, "until_ms": until_ms}
    raise typer.Exit(command.post(party, "/v1/breach-scope", body, json=json, tell=text.breach_scope))


@app.command()
def dpia() -> None:
    """Print a template for a data protection impact assessment (Art. 35), filled in from the marks."""
    from api.cli import privacy_text as text

    typer.echo(text.dpia())


@reid_app.command("ask")
def reid_ask(
    pseudonym: Annotated[str, typer.Argument(help="The pseudonym, or - to read it from the standard input.")],
    party: Party,
    recipient: Annotated[str, typer.Option(help="Who was given it.")],
    purpose: Annotated[str, typer.Option(help="The export's purpose, such as SETTLEMENT.")],
    epoch: Annotated[str, typer.Option(help="transaction:STREAM or month:YYYY-MM.")],
    ground: Annotated[str, typer.Option(help="SAFETY, LEGAL_CLAIMS, LEGAL_OBLIGATION, DISPUTE or SUBJECT_RIGHTS.")],
    json: Json = False,
) -> None:
    """Ask, as privacy officer (DPO); recorded, and open for a day."""
    from api.cli import privacy as command

    body = {
        "pseudonym": command.subject_of(pseudonym),
        "recipient": recipient,
        "purpose": purpose,
        "epoch": epoch,
        "ground": ground,
    }
    tell = "asked: {request}; it needs an operator's approval".format_map
    raise typer.Exit(command.post(party, "/v1/reidentifications", body, json=json, tell=tell))


@reid_app.command("list")
def reid_list(party: Party, json: Json = False) -> None:
    """List what waits for an approval or an answer, as DPO or OPS."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    raise typer.Exit(command.show(party, "/v1/reidentifications", json=json, tell=text.reidentifications))


@reid_app.command("approve")
def reid_approve(request: Request, party: Party, json: Json = False) -> None:
    """Agree to a request, as operator (OPS)."""
    from api.cli import privacy as command

    path = f"/v1/reidentifications/{request}/approval"
    raise typer.Exit(command.post(party, path, {}, json=json, tell="approved by {approver}".format_map))


@reid_app.command("refuse")
def reid_refuse(request: Request, party: Party, json: Json = False) -> None:
    """Close a request without an answer."""
    from api.cli import privacy as command

    path = f"/v1/reidentifications/{request}/refusal"
    raise typer.Exit(command.post(party, path, {}, json=json, tell="refused: {request}".format_map))


@reid_app.command("answer")
def reid_answer(request: Request, party: Party, json: Json = False) -> None:
    """Take the one answer, as the officer who asked."""
    from api.cli import privacy as command
    from api.cli import privacy_text as text

    path = f"/v1/reidentifications/{request}/answer"
    raise typer.Exit(command.long_post(party, path, {}, json=json, tell=text.answer))


@export_app.command("verify")
def export_verify(
    file: Annotated[Path, typer.Argument(help="The archive, sealed or not, or a folder of its files.")],
    signer: Annotated[Path, typer.Option(help="The exporter's signing certificate (PEM).")],
    vkey: Annotated[str, typer.Option(help="The log's verifier key; provable exports need it.")] = "",
    origin: Annotated[str, typer.Option(help="The log's origin; provable exports need it.")] = "",
    key: Annotated[Path | None, typer.Option(help="Your X25519 key (PEM, mode 0600), for a sealed export.")] = None,
    at_ms: Annotated[int | None, typer.Option(min=0, help="When, Unix ms, for its expiry; now if left out.")] = None,
    json: Json = False,
) -> None:
    """Verify an export offline: exit 0 verified, 1 refuted, 2 unusable."""
    from api.cli import export_verify as command

    raise typer.Exit(command.run(file, signer=signer, vkey=vkey, origin=origin, key=key, at_ms=at_ms, json=json))
