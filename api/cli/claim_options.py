"""The commands `flexledger claim ...` and their options, and nothing else."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Conformity claims and installation links.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Key = Annotated[Path, typer.Option("--key", help="Private key of who signs (PEM, mode 0600).")]
Certificate = Annotated[Path, typer.Option("--cert", help="Certificate of who signs (PEM).")]
Store = Annotated[Path, typer.Option("--store", help="Database of what was signed; made if it is not there.")]
Out = Annotated[Path, typer.Option("--out", help="Write the result here; must not exist.")]


@app.command("issue")
def issue(
    spec: Annotated[Path, typer.Argument(help="What is claimed of what (TOML).")],
    key: Key,
    cert: Certificate,
    store: Store,
    out: Out,
    json: Json = False,
) -> None:
    """Sign a conformity claim as a conformity body: exit 0 signed, 2 nothing was signed."""
    from api.cli import claim_issue as command

    raise typer.Exit(command.issue(spec, key=key, certificate=cert, store=store, out=out, json=json))


@app.command("link")
def link(
    spec: Annotated[Path, typer.Argument(help="Which thing is an instance of which type (TOML).")],
    key: Key,
    cert: Certificate,
    store: Store,
    out: Out,
    json: Json = False,
) -> None:
    """Sign an installation link as an operator or a witness: exit 0 signed, 2 nothing was signed."""
    from api.cli import claim_issue as command

    raise typer.Exit(command.link(spec, key=key, certificate=cert, store=store, out=out, json=json))


@app.command("revoke")
def revoke(
    document: Annotated[Path, typer.Argument(help="The claim or link.")],
    key: Key,
    cert: Certificate,
    store: Store,
    reason: Annotated[str, typer.Option(help="Why, in the words of RFC 5280.")] = "privilegeWithdrawn",
    json: Json = False,
) -> None:
    """Revoke a claim or a link of a conformity body, from now on; the next list says so."""
    from api.cli import claim_issue as command

    raise typer.Exit(command.revoke(document, reason=reason, key=key, certificate=cert, store=store, json=json))


@app.command("crl")
def crl(key: Key, cert: Certificate, store: Store, out: Out, json: Json = False) -> None:
    """Sign a conformity body's next revocation list."""
    from api.cli import claim_issue as command

    raise typer.Exit(command.crl(key=key, certificate=cert, store=store, out=out, json=json))


@app.command("show")
def show(document: Annotated[Path, typer.Argument(help="The claim or link.")], json: Json = False) -> None:
    """Say what a claim or a link says, believing nothing of it: exit 0 read, 2 not."""
    from api.cli import claim_show as command

    raise typer.Exit(command.run(document, json=json))


@app.command("check")
def check(
    documents: Annotated[list[Path], typer.Argument(help="Claims and links.")],
    root: Annotated[list[Path], typer.Option(help="Roots that you trust (PEM or DER).")],
    chain: Annotated[list[Path], typer.Option(help="Certificates of the signers and their authorities.")],
    crl: Annotated[list[Path], typer.Option(help="Revocation lists, or folders of them.")],
    service: Annotated[str, typer.Option(help="The service that is asked for, such as DROOP.")],
    region: Annotated[str, typer.Option(help="Where, such as FI.")],
    evse: Annotated[str, typer.Option(help="The EVSE: SHA-256 of its key in hex, or a file with its certificate.")],
    ev: Annotated[str | None, typer.Option(help="The EV, in the same way.")] = None,
    kind: Annotated[str, typer.Option(help="DC: the inverter is in the EVSE; AC: in the car.")] = "DC",
    evse_firmware: Annotated[str | None, typer.Option(help="SHA-256 of what the EVSE runs now.")] = None,
    ev_firmware: Annotated[str | None, typer.Option(help="SHA-256 of what the EV runs now.")] = None,
    charge_w: Annotated[int, typer.Option(min=0, help="Greatest charging power, W.")] = 0,
    discharge_w: Annotated[int, typer.Option(min=0, help="Greatest discharging power, W.")] = 0,
    response_ms: Annotated[int | None, typer.Option(min=0, help="Time to full response, ms.")] = None,
    operator: Annotated[str | None, typer.Option(help="The party that operates the site.")] = None,
    at_ms: Annotated[int | None, typer.Option(min=0, help="When, Unix ms; now if left out.")] = None,
    development: Annotated[bool, typer.Option("--development", help="Trust development roots.")] = False,
    json: Json = False,
) -> None:
    """Say whether claims and links cover a service: exit 0 covered, 1 not, 2 unusable, 3 indeterminate."""
    from api.cli import claim_check as command

    evidence = command.Evidence(roots=root, chains=chain, crls=crl, development=development)
    question = command.Question(
        kind=kind,
        service=service,
        region=region,
        evse=evse,
        ev=ev,
        evse_firmware=evse_firmware,
        ev_firmware=ev_firmware,
        charge_w=charge_w,
        discharge_w=discharge_w,
        response_ms=response_ms,
        operator=operator,
        at_ms=at_ms,
    )
    raise typer.Exit(command.run(documents, evidence=evidence, question=question, json=json))
