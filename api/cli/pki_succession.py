"""`flexledger pki succession`: a later ceremony, over what the first one made or over the office of a service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from api.cli.files import read_file
from api.cli.pki_ceremony import STORE, CeremonyStoreAbsent
from api.cli.pki_offline import DONE, answered, opened, say
from api.flows import office_lists
from api.issuing import read_password
from api.settings import Settings
from ledger import plain_file
from ledger.clock import SystemClock
from pki import succession
from pki.authority import Authority
from pki.ceremony import MAX_SPEC_BYTES
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.store.records import CertificateStore
from pki.store.sqlite import SqliteStore
from pki.succession import PAPERS, Succession


@dataclass(frozen=True, slots=True)
class _Place:
    """Where authorities and their store are; `settings` where a service issues with them."""

    authorities: Path
    store: CertificateStore
    password: bytes | None
    settings: Settings | None


def run(
    file: Path,
    place: Path,
    *,
    root: Path | None,
    password_file: Path | None,
    root_password_file: Path | None,
    json: bool,
) -> int:
    """Exit code 0 when all steps are done, 2 when not: the same file, performed again, goes on where this one ended."""

    def act() -> int:
        spec = succession.parse_spec(read_file(file, MAX_SPEC_BYTES))
        with _opened(place, password_file) as found:
            safe = place / "root" if root is None and found.settings is None else root
            root_password = read_password(root_password_file)
            hierarchy = Hierarchy.load(
                found.authorities,
                found.password,
                store=found.store,
                journal=MemoryJournal(),
                root_folder=safe,
                root_password=root_password,
            )
            done = succession.perform(
                spec,
                hierarchy,
                now_ms=SystemClock().now_ms(),
                folder=found.authorities,
                password=found.password,
                root_folder=found.authorities if safe is None else safe,
                root_password=root_password,
                publish=lambda done: _publish(done, place, found.settings),
            )
        document = {
            "ceremony": spec.ceremony,
            "made": {one.name: one.key_sha256 for one in done.made},
            "lists": sorted(done.crls),
            "retired": sorted(one.name for one in done.hierarchy.former),
            "papers": sorted(done.papers),
        }
        lines = [f"  {one.name}: key {one.key_sha256}" for one in done.made]
        text = [f"done {spec.ceremony}: {len(done.made)} authorities made, lists of {', '.join(sorted(done.crls))}"]
        lines += [f"  authorities/{PAPERS}/{name}: to be handed to its log" for name in sorted(done.papers)]
        say(document, "\n".join([*text, *lines, "  start what issues with them again"]), json=json)
        return DONE

    return answered(act, json=json)


@contextmanager
def _opened(place: Path, password_file: Path | None) -> Iterator[_Place]:
    """The folder of a ceremony with its store, or the office of a settings file."""
    if not place.is_dir():
        with opened(place) as office:
            issuing = office.settings.issuing
            assert issuing is not None  # noqa: S101 -- `opened` refuses settings without an office
            password = read_password(issuing.password_file if password_file is None else password_file)
            yield _Place(issuing.authorities, office.issuing.store, password, office.settings)
        return
    if not (place / STORE).is_file():
        raise CeremonyStoreAbsent("no ceremony left its store here", expected=STORE, found=place.name)
    store = SqliteStore(place / STORE)
    try:
        yield _Place(place / "authorities", store, read_password(password_file), None)
    finally:
        store.close()


def _publish(done: Succession, place: Path, settings: Settings | None) -> None:
    """Lists and new certificates are where those of the first ceremony are; a new root is handed out by people.

    Done again it writes the same certificates, and lists that are newer.
    """
    if settings is not None:
        office_lists.write(settings.pki.crl_dir, done.crls.values())
        issuing = [one for one in done.made if one.group is not None]
        for authority in issuing:
            pem = authority.certificate.public_bytes(Encoding.PEM)
            (settings.pki.issuers_dir / f"{authority.name}.pem").write_bytes(pem)
        for bundle in {one.client_ca for one in (settings.listen, settings.ocpp_listen) if one is not None}:
            _admit(bundle, issuing)
        return
    folder = place / "crl"
    folder.mkdir(exist_ok=True)
    begun = len(list(folder.glob("*.crl")))
    for number, der in enumerate(done.crls.values(), start=begun):
        (folder / f"{number:03d}.crl").write_bytes(der)
    for authority in done.made:
        if authority.group is None:
            pem = authority.certificate.public_bytes(Encoding.PEM)
            (place / f"{authority.name}.crt.pem").write_bytes(pem)


def _admit(bundle: Path, issuing: list[Authority]) -> None:
    """Who shows a leaf without its issuer is let in too, as under the authorities of the first ceremony."""
    known = plain_file.read(bundle)
    more = [pem for one in issuing if (pem := one.certificate.public_bytes(Encoding.PEM)) not in known]
    beside = bundle.with_name(f"{bundle.name}.part")
    beside.write_bytes(known + b"".join(more))
    beside.replace(bundle)
