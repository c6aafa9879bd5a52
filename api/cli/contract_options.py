"""The commands `flexledger contract ...`, `delegation ...` and `schedule ...` and their options; nothing else."""

from typing import Annotated

import typer

from api.cli.party_options import File, Json, Limit, Party, Subjects, group

app = group("Contracts.")
delegation_app = group("Delegations: who may act for whom.")
schedule_app = group("Schedules of opting: what is wanted of requests to come.")

Contract = Annotated[str, typer.Argument(help="The contract.")]


@app.command("offer")
def contract_offer(party: Party, record: File, subject: Subjects = None, json: Json = False) -> None:
    """Offer a contract, or its next version (`contract.offered`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "contract.offered", record, subjects=subject or (), json=json))


@app.command("accept")
def contract_accept(
    party: Party,
    fsc_id: Contract,
    offer_sha256: Annotated[str, typer.Argument(help="SHA-256 of the offer that was read, from `contract show`.")],
    json: Json = False,
) -> None:
    """Accept an offer: it is named by its digest, so that another one is never signed instead."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.accept(party, fsc_id, offer_sha256, json=json))


@app.command("withdraw")
def contract_withdraw(
    party: Party,
    fsc_id: Contract,
    version: Annotated[int, typer.Argument(min=1, help="The offer's version.")],
    json: Json = False,
) -> None:
    """Take back an offer that nobody has accepted."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.withdraw(party, fsc_id, version, json=json))


@app.command("suspend")
def contract_suspend(party: Party, fsc_id: Contract, json: Json = False) -> None:
    """Give notice that nothing starts under the contract from now on."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.suspend(party, fsc_id, json=json))


@app.command("resume")
def contract_resume(party: Party, fsc_id: Contract, json: Json = False) -> None:
    """Let go on what the party's own notice suspended."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.resume(party, fsc_id, json=json))


@app.command("terminate")
def contract_terminate(
    party: Party,
    fsc_id: Contract,
    reason: Annotated[str, typer.Option(help="Why, of a closed list.")] = "NOTICE",
    json: Json = False,
) -> None:
    """End a contract; an EV user who withdraws consent ends it at once."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.terminate(party, fsc_id, reason=reason, json=json))


@app.command("find")
def contract_find(
    party: Party,
    site_id: Annotated[str, typer.Argument(help="The site.")],
    service: Annotated[str, typer.Argument(help="Class of service, such as congestion.")],
    from_ms: Annotated[int, typer.Argument(min=0, help="From when.")],
    until_ms: Annotated[int, typer.Argument(min=0, help="Until when.")],
    contract: Annotated[
        list[str] | None, typer.Option(help="A contract of the party's own that is meant; may be given again.")
    ] = None,
    json: Json = False,
) -> None:
    """Ask which of the party's contracts hold at a site, under blinded ids; without any, roughly how many there are."""
    from api.cli import contract_acts as command

    code = command.find(party, site_id, service, from_ms, until_ms, contracts=contract or (), json=json)
    raise typer.Exit(code)


@app.command("list")
def contract_list(
    party: Party,
    status: Annotated[str | None, typer.Option(help="Only in this state, such as ACTIVE.")] = None,
    limit: Limit = 100,
    json: Json = False,
) -> None:
    """List the contracts that concern the party."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.contracts(party, status=status, limit=limit, json=json))


@app.command("show")
def contract_show(party: Party, fsc_id: Contract, json: Json = False) -> None:
    """Show one contract: state, versions, and the digest of each offer."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.show(party, fsc_id, json=json))


@delegation_app.command("give")
def delegation_give(party: Party, record: File, subject: Subjects = None, json: Json = False) -> None:
    """Let another act for the party, for a time (`delegation.given`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "delegation.given", record, subjects=subject or (), json=json))


@delegation_app.command("revoke")
def delegation_revoke(
    party: Party, delegation_id: Annotated[str, typer.Argument(help="The delegation.")], json: Json = False
) -> None:
    """End a delegation now."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.revoke_delegation(party, delegation_id, json=json))


@schedule_app.command("set")
def schedule_set(party: Party, record: File, subject: Subjects = None, json: Json = False) -> None:
    """Say what is wanted of every request that falls into a time (`opt.scheduled`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "opt.scheduled", record, subjects=subject or (), json=json))


@schedule_app.command("end")
def schedule_end(
    party: Party, schedule_id: Annotated[str, typer.Argument(help="The schedule.")], json: Json = False
) -> None:
    """End a schedule now."""
    from api.cli import contract_acts as command

    raise typer.Exit(command.end_schedule(party, schedule_id, json=json))
