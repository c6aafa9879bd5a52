"""The commands `flexledger request ...` and their options; nothing else."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.party_options import Attach, File, Fsr, Json, Limit, Party, group

app = group("Requests.")

Pow = Annotated[str, typer.Argument(help="The proof of work that is meant.")]


@app.command("issue")
def request_issue(party: Party, record: File, attach: Attach = None, json: Json = False) -> None:
    """Ask for flexibility (`fsr.issued`); a mandate's signed directive is attached."""
    from api.cli import party_acts as command

    attached = command.Attached(attach or ())
    raise typer.Exit(command.state(party, "fsr.issued", record, attached=attached, json=json))


@app.command("revise")
def request_revise(party: Party, record: File, json: Json = False) -> None:
    """Ask for something else before the port has accepted (`fsr.revised`); every decision starts anew."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "fsr.revised", record, json=json))


@app.command("setpoints")
def request_setpoints(party: Party, record: File, json: Json = False) -> None:
    """Move a dynamic setpoint (`fsr.setpoints`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "fsr.setpoints", record, json=json))


@app.command("baseline")
def request_baseline(party: Party, record: File, json: Json = False) -> None:
    """Commit a baseline before the start (`baseline.committed`), as the port."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "baseline.committed", record, json=json))


@app.command("list")
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


@app.command("show")
def request_show(party: Party, fsr_id: Fsr, json: Json = False) -> None:
    """Show one request: state, participations, proof."""
    from api.cli import party_acts as command

    raise typer.Exit(command.show(party, fsr_id, json=json))


@app.command("log")
def request_log(party: Party, fsr_id: Fsr, limit: Limit = 100, json: Json = False) -> None:
    """Show what was recorded of one request, newest first."""
    from api.cli import party_acts as command

    raise typer.Exit(command.log(party, fsr_id, limit=limit, json=json))


@app.command("cancel")
def request_cancel(
    party: Party,
    fsr_id: Fsr,
    reason: Annotated[str, typer.Option(help="Why, of a closed list.")] = "NO_LONGER_NEEDED",
    json: Json = False,
) -> None:
    """Cancel a request before its start."""
    from api.cli import party_acts as command

    raise typer.Exit(command.cancel(party, fsr_id, reason=reason, json=json))


@app.command("abort")
def request_abort(
    party: Party,
    fsr_id: Fsr,
    reason: Annotated[str, typer.Option(help="Why, of a closed list.")],
    json: Json = False,
) -> None:
    """End a request while it runs: its operator, or the port for safety."""
    from api.cli import request_acts as command

    raise typer.Exit(command.abort(party, fsr_id, reason=reason, json=json))


@app.command("agree")
def request_agree(party: Party, fsr_id: Fsr, pow_id: Pow, json: Json = False) -> None:
    """Agree to a proof of work."""
    from api.cli import request_acts as command

    raise typer.Exit(command.agree(party, fsr_id, pow_id, json=json))


@app.command("dispute")
def request_dispute(
    party: Party,
    fsr_id: Fsr,
    pow_id: Pow,
    reason: Annotated[str, typer.Option(help="What is contested, of a closed list.")],
    contested: Annotated[
        list[str] | None, typer.Option(help="A participation whose part is contested; may be given again.")
    ] = None,
    json: Json = False,
) -> None:
    """Dispute a proof of work."""
    from api.cli import request_acts as command

    raise typer.Exit(command.dispute(party, fsr_id, pow_id, reason=reason, contested=contested or (), json=json))


@app.command("resolve")
def request_resolve(
    party: Party,
    fsr_id: Fsr,
    pow_id: Pow,
    resolution: Annotated[str, typer.Argument(help="upheld or dismissed.")],
    ground: Annotated[str, typer.Option(help="Code of the contract's rule that decides, such as TOLERANCE.")],
    json: Json = False,
) -> None:
    """Sign the end of a dispute; both sides' signatures make it final, or one auditor's."""
    from api.cli import request_acts as command

    raise typer.Exit(command.resolve(party, fsr_id, pow_id, resolution=resolution, ground=ground, json=json))


@app.command("settle")
def request_settle(party: Party, record: File, json: Json = False) -> None:
    """Say what the service was worth (`settlement.lined`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "settlement.lined", record, json=json))


@app.command("bundle")
def request_bundle(
    party: Party,
    fsr_id: Fsr,
    out: Annotated[Path, typer.Option(help="Write it here; must not exist.")],
    json: Json = False,
) -> None:
    """Fetch the evidence of one request, for `flexledger verify`."""
    from api.cli import party_acts as command

    raise typer.Exit(command.bundle(party, fsr_id, out=out, json=json))
