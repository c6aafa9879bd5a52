"""The commands `flexledger pki ...` and their options, and nothing else."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Credentials: the certificate office on its own machine. Exit 0 done, 1 something was found, 2 not done.",
    no_args_is_help=True,
)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Config = Annotated[Path, typer.Argument(help="The settings file (TOML), with its table [issuing].")]
Name = Annotated[str, typer.Argument(help="`issuer key.serial number` as `pki list` shows it, or a PEM file.")]
RoleOf = Annotated[str, typer.Option(help="FO, CSO, CSP, EVU, SO, CB, AUD, DPO, OPS or STATION.")]
PartyOf = Annotated[str, typer.Option(help="The id of the party; left out for an EVU, who gets a pseudonym.")]
Organisation = Annotated[str, typer.Option(help="Its legal name; an EVU has none.")]
Services = Annotated[list[str] | None, typer.Option("--service", help="A class of service; may be given again.")]
Hosts = Annotated[list[str] | None, typer.Option("--host", help="A host of a server certificate; may be given again.")]
Station = Annotated[str | None, typer.Option(help="The station's id, for role STATION.")]
Out = Annotated[Path, typer.Option(help="Where to write the certificate and its issuer (PEM).")]


@app.command()
def ceremony(
    file: Annotated[Path, typer.Argument(help="The ceremony file (TOML).")],
    out: Annotated[Path, typer.Argument(help="Where everything is written; must not exist or be empty.")],
    password_file: Annotated[
        Path | None, typer.Option(help="File, mode 0600, with the password of all keys; without it, none.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Store that knows earlier ceremonies; `issued.db` in the folder if not.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a root, its issuing authorities and the first credentials from one reviewed file."""
    from api.cli import pki_ceremony as command

    raise typer.Exit(command.run(file, out, password_file=password_file, store=store, json=json))


@app.command()
def succession(
    file: Annotated[Path, typer.Argument(help="The file of the later ceremony (TOML).")],
    place: Annotated[Path, typer.Argument(help="The folder of the first ceremony, or a service's settings file.")],
    root: Annotated[
        Path | None, typer.Option(help="The folder with the root's key; `root` in the folder of the ceremony if not.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="File, mode 0600, with the password of the authorities' keys.")
    ] = None,
    root_password_file: Annotated[
        Path | None, typer.Option(help="File, mode 0600, with the password of the root's key.")
    ] = None,
    json: Json = False,
) -> None:
    """Let a next generation of an authority or a root take over, end an authority, or have the root sign its list."""
    from api.cli import pki_succession as command

    raise typer.Exit(
        command.run(
            file,
            place,
            root=root,
            password_file=password_file,
            root_password_file=root_password_file,
            json=json,
        )
    )


@app.command()
def invite(
    config: Config,
    role: RoleOf,
    purpose: Annotated[list[str], typer.Option(help="tls-client, tls-server, signing, attribute; may be given again.")],
    party: PartyOf = "",
    organisation: Organisation = "",
    service: Services = None,
    host: Hosts = None,
    station: Station = None,
    hours: Annotated[int | None, typer.Option(min=1, max=2160, help="How long the code is good.")] = None,
    json: Json = False,
) -> None:
    """Make a one-time code with which a party fetches its first credentials; it is shown once."""
    from api.cli import pki_asked
    from api.cli import pki_invite as command

    wanted = pki_asked.asked(role, purpose, party, organisation, service, host, station)
    raise typer.Exit(command.run(config, wanted, hours=hours, json=json))


@app.command()
def invitations(config: Config, json: Json = False) -> None:
    """List the codes that are still good: for whom, for what, until when; not the codes themselves."""
    from api.cli import pki_invite as command

    raise typer.Exit(command.listed(config, json=json))


@app.command()
def withdraw(
    config: Config,
    code_id: Annotated[str, typer.Argument(metavar="ID", help="The code's half before the colon.")],
    json: Json = False,
) -> None:
    """Withdraw a code: it is good for nothing any more, in a running service too."""
    from api.cli import pki_invite as command

    raise typer.Exit(command.withdraw(config, code_id, json=json))


@app.command()
def issue(
    config: Config,
    request: Annotated[Path, typer.Argument(help="The certification request (PKCS#10, PEM or DER).")],
    role: RoleOf,
    purpose: Annotated[str, typer.Option(help="tls-client, tls-server, signing or attribute.")],
    out: Out,
    party: PartyOf = "",
    organisation: Organisation = "",
    service: Services = None,
    host: Hosts = None,
    station: Station = None,
    json: Json = False,
) -> None:
    """Issue a certificate for the key in a request, without the service; a running one tells the log within seconds."""
    from api.cli import pki_asked
    from api.cli import pki_issue as command

    wanted = pki_asked.asked(role, [purpose], party, organisation, service, host, station)
    raise typer.Exit(command.run(config, request, wanted, out=out, json=json))


@app.command()
def renew(
    config: Config,
    name: Name,
    request: Annotated[Path, typer.Argument(help="The certification request, with the same key or another.")],
    out: Out,
    json: Json = False,
) -> None:
    """Issue the certificate that follows one that stands: the same names, another end."""
    from api.cli import pki_issue as command

    raise typer.Exit(command.renew(config, name, request, out=out, json=json))


@app.command()
def revoke(
    config: Config,
    name: Annotated[
        str | None, typer.Argument(help="`issuer key.serial number` as `pki list` shows it, or a PEM file.")
    ] = None,
    party: Annotated[
        str | None, typer.Option(help="Instead of a name: whatever this party has that holds still, renewed or not.")
    ] = None,
    role: Annotated[
        str | None, typer.Option(help="Of the party, in this role alone; STATION means its stations.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what of the party would be revoked.")] = False,
    reason: Annotated[str, typer.Option(help="A reason of RFC 5280 section 5.3.1.")] = "unspecified",
    invalid_from_ms: Annotated[
        int | None, typer.Option(min=0, help="From when its key was not to be trusted, in Unix milliseconds.")
    ] = None,
    json: Json = False,
) -> None:
    """Revoke a certificate, or all that a party has, for ever, and write the lists that say so."""
    from api.cli import pki_revoke as command
    from api.cli import words
    from pki.roles import Role
    from pki.store.records import Reason

    raise typer.Exit(
        command.run(
            config,
            name,
            party=party,
            role=None if role is None else words.one_of(Role, role),
            is_dry=dry_run,
            reason=words.one_of(Reason, reason),
            invalid_from_ms=invalid_from_ms,
            json=json,
        )
    )


@app.command("list")
def listing(
    config: Config,
    role: Annotated[str | None, typer.Option(help="Of this role alone.")] = None,
    party: Annotated[str | None, typer.Option(help="Of this party alone.")] = None,
    purpose: Annotated[str | None, typer.Option(help="Of this purpose alone.")] = None,
    revoked: Annotated[
        bool | None, typer.Option("--revoked/--standing", help="Only those that were, or were not, revoked.")
    ] = None,
    json: Json = False,
) -> None:
    """List what was issued, oldest first."""
    from api.cli import pki_list as command

    raise typer.Exit(command.run(config, command.sought(role, party, purpose, revoked=revoked), json=json))


@app.command()
def status(config: Config, name: Name, json: Json = False) -> None:
    """Say whether a certificate of this office holds now, and why not: exit 0 it holds, 1 it does not."""
    from api.cli import pki_list as command

    raise typer.Exit(command.status(config, name, json=json))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A certificate (PEM), with or without its issuer.")],
    anchors: Annotated[Path, typer.Option(help="The roots that you trust (PEM).")],
    issuers: Annotated[list[Path] | None, typer.Option(help="Issuing authorities: a PEM file or a folder.")] = None,
    crl: Annotated[list[Path] | None, typer.Option(help="Revocation lists: a PEM file or a folder.")] = None,
    development: Annotated[bool, typer.Option("--development", help="Let a development root count.")] = False,
    at_ms: Annotated[int | None, typer.Option(help="The time asked about, in Unix milliseconds; now if not.")] = None,
    json: Json = False,
) -> None:
    """Check a certificate against files, and say what is wrong with it: exit 0 it holds, 1 it does not."""
    from api.cli import pki_check as command

    raise typer.Exit(
        command.run(
            file,
            anchors=anchors,
            issuers=issuers or [],
            lists=crl or [],
            development=development,
            at_ms=at_ms,
            json=json,
        )
    )


@app.command()
def gaps(config: Config, json: Json = False) -> None:
    """Say which certificates were intended and neither issued nor revoked: exit 0 none, 1 some."""
    from api.cli import pki_gaps as command

    raise typer.Exit(command.run(config, json=json))


@app.command()
def crl(config: Config, json: Json = False) -> None:
    """Write a new revocation list of every issuing authority into the folder of the lists."""
    from api.cli import pki_revoke as command

    raise typer.Exit(command.lists(config, json=json))
