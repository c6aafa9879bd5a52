"""The commands `flexledger site ...` and their options; nothing else."""

from typing import Annotated

import typer

from api.cli.party_options import Attach, AttachSubject, File, Json, Limit, Party, Subjects, group

app = group("Sites: what stands there and what it can do.")

Site = Annotated[str, typer.Argument(help="The site.")]


@app.command("configure")
def site_configure(party: Party, record: File, json: Json = False) -> None:
    """Declare a whole site (`site.configured`): its grid connection, and every EVSE."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "site.configured", record, json=json))


@app.command("change")
def site_change(party: Party, record: File, json: Json = False) -> None:
    """Say what changes of a site (`site.changed`); without `base_version`, of the version that is in force now."""
    from api.cli import site_acts as command

    raise typer.Exit(command.change(party, record, json=json))


@app.command("set-evse")
def site_set_evse(
    party: Party,
    site_id: Site,
    evse_id: Annotated[str, typer.Argument(help="The EVSE.")],
    operational: Annotated[str, typer.Argument(help="operative or inoperative.")],
    json: Json = False,
) -> None:
    """Take one EVSE out of service, or put it back (`site.changed`)."""
    from api.cli import site_acts as command

    raise typer.Exit(command.set_evse(party, site_id, evse_id, operational=operational, json=json))


@app.command("forecast")
def site_forecast(party: Party, record: File, json: Json = False) -> None:
    """Forecast what a site can do in a time to come (`site.available`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "site.available", record, json=json))


@app.command("claim")
def site_claim(
    party: Party,
    record: File,
    attach: Attach = None,
    attach_subject: AttachSubject = None,
    subject: Subjects = None,
    json: Json = False,
) -> None:
    """Register a conformity claim (`site.claim-registered`); its document is attached."""
    from api.cli import party_acts as command

    attached = command.Attached(attach or (), attach_subject)
    code = command.state(party, "site.claim-registered", record, subjects=subject or (), attached=attached, json=json)
    raise typer.Exit(code)


@app.command("link")
def site_link(
    party: Party,
    record: File,
    attach: Attach = None,
    attach_subject: AttachSubject = None,
    subject: Subjects = None,
    json: Json = False,
) -> None:
    """Register that one thing is an instance of a type (`site.installation-linked`); the link is attached."""
    from api.cli import party_acts as command

    attached = command.Attached(attach or (), attach_subject)
    code = command.state(
        party, "site.installation-linked", record, subjects=subject or (), attached=attached, json=json
    )
    raise typer.Exit(code)


@app.command("withdraw-claim")
def site_withdraw_claim(party: Party, record: File, json: Json = False) -> None:
    """Withdraw a claim or a link (`site.claim-withdrawn`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "site.claim-withdrawn", record, json=json))


@app.command("session")
def site_session(party: Party, record: File, subject: Subjects = None, json: Json = False) -> None:
    """Mirror a charging session (`site.session-mirrored`)."""
    from api.cli import party_acts as command

    raise typer.Exit(command.state(party, "site.session-mirrored", record, subjects=subject or (), json=json))


@app.command("list")
def site_list(party: Party, limit: Limit = 100, json: Json = False) -> None:
    """List the sites that the party may see."""
    from api.cli import site_acts as command

    raise typer.Exit(command.sites(party, limit=limit, json=json))


@app.command("show")
def site_show(
    party: Party,
    site_id: Site,
    at_ms: Annotated[int | None, typer.Option(min=0, help="As it was in force then; else now.")] = None,
    json: Json = False,
) -> None:
    """Show a site as it is, or was, in force."""
    from api.cli import site_acts as command

    raise typer.Exit(command.show(party, site_id, at_ms=at_ms, json=json))
