"""`flexledger init`: a service from a ceremony file; refuses to overwrite anything."""

import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli import failures
from api.cli.files import read_file
from api.client import party as parties
from api.errors import ApiError, Refused
from api.flows import office_lists
from api.issuing import DATABASE_FILE
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from ledger.privacy.kekring import KekRingFile
from ledger.tlog.note import NoteSigner
from pki import ceremony as ceremonies
from pki import keys
from pki.ceremony import Ceremony, Minted
from pki.errors import PkiError
from pki.roles import Purpose, Role
from pki.store.sqlite import SqliteStore

CONFIG: Final = "flexledger.toml"
PASSWORD_BYTES: Final = 32
MAX_CEREMONY_BYTES: Final = 1 << 20
MAX_ORIGIN_CHARS: Final = 128
"""As in the settings: what is laid out here must start there."""
_ORIGIN = re.compile(r"[a-z0-9][a-z0-9.-]*(/[A-Za-z0-9._-]+)*")


class TargetTaken(Refused):
    """There is something already where a service should be made."""

    code = "api/init-target-taken"
    title = "Directory is not empty"


class PartyUnfit(Refused):
    """The party cannot operate a port: it is not in the ceremony file, or is no CSO with a host name."""

    code = "api/init-party"
    title = "Party cannot operate the port"


def run(directory: Path, *, ceremony: Path | None, party: str, origin: str) -> int:
    """Exit code 0 when the service was made, 2 when nothing was."""
    try:
        if ceremony is None:
            raise PartyUnfit("a ceremony file says who gets which credential", expected="--ceremony FILE")
        now_ms = SystemClock().now_ms()
        spec = ceremonies.parse_spec(read_file(ceremony, MAX_CEREMONY_BYTES))
        made = ceremonies.perform(spec, tls_now_ms=now_ms, signing_now_ms=now_ms)
        config = lay_out(directory, made, party=party, origin=origin)
    except (ApiError, LedgerError, PkiError, OSError) as error:
        typer.echo(f"nothing was made: {failures.told(error)}", err=True)
        return 2
    typer.echo(f"made {directory}")
    typer.echo(f"  credentials of every party: {directory / 'credentials'}")
    typer.echo(
        "    move root/ (the root's key) and authorities/ (those of the issuing authorities) to safe places first:"
        " the service has copies of the latter under a password; hand out the rest"
    )
    typer.echo(f"  next: flexledger doctor {config} && flexledger serve {config}")
    return 0


def lay_out(
    directory: Path,
    made: Ceremony,
    *,
    party: str,
    origin: str,
    clock_file: Path | None = None,
    port: int = 8443,
    ocpp_port: int = 9443,
    ops_port: int = 9464,
) -> Path:
    """Writes keys, certificates and settings of a service that `party` operates; returns the settings file."""
    if directory.exists() and any(directory.iterdir()):
        raise TargetTaken("the directory is not empty", found=directory.name)
    operator = made.parties.get(party)
    if operator is None or operator.role is not Role.CSO or Purpose.TLS_SERVER not in operator.credentials:
        raise PartyUnfit("not a CSO with a host name in the ceremony file", expected="--party ID", found=party)
    if not _ORIGIN.fullmatch(origin) or len(origin) > MAX_ORIGIN_CHARS:
        raise PartyUnfit("not an origin", expected="a name such as ledger.example/north", found=origin[:64])
    os.umask(0o077)
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("data", "keys", "vault", "pki/issuers/known", "pki/crl"):
        (directory / name).mkdir(parents=True)
    ceremonies.save(made, directory / "credentials", None)
    _public(directory / "pki", made)
    _office(directory, made)
    _keys(directory, operator, origin)
    party_files(directory, made, f"https://{_host(operator)}:{port}", origin)
    config = directory / CONFIG
    config.write_text(_settings(made, operator, origin, clock_file, port, ocpp_port, ops_port))
    return config


def _public(folder: Path, made: Ceremony) -> None:
    """What everyone may know: roots, issuing authorities, revocation lists, certificates of stations and bodies.

    All authorities, also those that have issued nothing yet: the office invites parties of every role later.
    """
    root = made.hierarchy.root.certificate.public_bytes(Encoding.PEM)
    (folder / "root.pem").write_bytes(root)
    authorities = (one.certificate for one in made.hierarchy.authorities() if one.group is not None)
    issuers = sorted(certificate.public_bytes(Encoding.PEM) for certificate in authorities)
    (folder / "issuers" / "issuers.pem").write_bytes(b"".join(issuers))
    (folder / "client-ca.pem").write_bytes(root + b"".join(issuers))
    known = [*_of(made.stations.values(), Purpose.SIGNING), *_of(made.parties.values(), Purpose.ATTRIBUTE)]
    (folder / "issuers" / "known" / "known.pem").write_bytes(b"".join(known))
    office_lists.write(folder / "crl", made.crls)


def _office(directory: Path, made: Ceremony) -> None:
    """What the service needs to issue and revoke: the authorities' keys under a password, the root's not among them."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    file = directory / "keys" / "issuing.password"
    file.touch(mode=0o600)
    file.write_text(password + "\n")
    root = made.hierarchy.root
    offline = keys.OfflineKey(keys.require_authority_key(root.certificate.public_key()))
    without_root = replace(made.hierarchy, root=replace(root, signer=offline))
    without_root.save(directory / "issuing", password.encode())
    if isinstance(made.store, SqliteStore):
        made.store.copy_to(directory / "data" / DATABASE_FILE)


def _of(holders: Iterable[Minted], purpose: Purpose) -> list[bytes]:
    found = [holder.credentials[purpose] for holder in holders if purpose in holder.credentials]
    return [issued.certificate.public_bytes(Encoding.PEM) for issued in found]


def _keys(directory: Path, operator: Minted, origin: str) -> None:
    log_key = directory / "keys" / "log.key"
    log_key.touch(mode=0o600)
    signer = NoteSigner.generate(origin)
    log_key.write_text(signer.dump() + "\n")
    (directory / "data" / "vkey").write_text(signer.vkey + "\n")
    KekRingFile.create(directory / "keys" / "kek.ring")
    for purpose in (Purpose.TLS_SERVER, Purpose.SIGNING):
        for kind in ("key", "crt"):
            name = f"{purpose.lower()}.{kind}.pem"
            source = directory / "credentials" / "parties" / operator.id / name
            target = directory / "keys" / name
            target.touch(mode=0o600)
            target.write_bytes(source.read_bytes())


def _host(operator: Minted) -> str:
    """The first host name of the operator's server."""
    certificate = operator.credentials[Purpose.TLS_SERVER].certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)[0]


def party_files(directory: Path, made: Ceremony, service: str, origin: str) -> None:
    """Beside the keys of everyone who connects: where the service is, and what to trust."""
    vkey = (directory / "data" / "vkey").read_text().strip()
    root = (directory / "pki" / "root.pem").read_bytes()
    for holder in made.parties.values():
        if Purpose.TLS_CLIENT not in holder.credentials:
            continue
        folder = directory / "credentials" / "parties" / holder.id
        (folder / "root.crt.pem").write_bytes(root)
        pairs = {
            purpose: parties.KeyPair(
                certificate=Path(f"{purpose.lower()}.crt.pem"), key=Path(f"{purpose.lower()}.key.pem")
            )
            for purpose in (Purpose.TLS_CLIENT, Purpose.SIGNING)
            if purpose in holder.credentials
        }
        parties.save(
            folder / parties.FILE,
            parties.PartyFile(
                service=service,
                ca=Path("root.crt.pem"),
                origin=origin,
                vkeys=(vkey,),
                party=holder.party_id,
                role=holder.role.value,
                tls=pairs[Purpose.TLS_CLIENT],
                signing=pairs.get(Purpose.SIGNING),
            ),
        )


def _settings(
    made: Ceremony,
    operator: Minted,
    origin: str,
    clock_file: Path | None,
    port: int,
    ocpp_port: int,
    ops_port: int,
) -> str:
    development = made.hierarchy.root.development
    clock = f'clock_file = "{clock_file}"\n' if clock_file else ""
    tls = 'certificate = "keys/tls_server.crt.pem"\nkey = "keys/tls_server.key.pem"\nclient_ca = "pki/client-ca.pem"\n'
    return f"""# Every key is described in docs/reference/settings.md; paths are relative to this file.
origin = "{origin}"
development = {str(development).lower()}
data_dir = "data"
log_key = "keys/log.key"
{clock}
[listen]
port = {port}
{tls}
[ops_listen]
port = {ops_port}

[ocpp_listen]
port = {ocpp_port}
{tls}
[pki]
anchors = "pki/root.pem"
issuers_dir = "pki/issuers"
crl_dir = "pki/crl"

[signing]
certificate = "keys/signing.crt.pem"
key = "keys/signing.key.pem"
party = "{operator.party_id}"

[issuing]
authorities = "issuing"
password_file = "keys/issuing.password"

[vault]
dir = "vault"
kek = "keys/kek.ring"
"""
