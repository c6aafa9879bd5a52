"""`flexledger pki revoke` and `crl`: on the machine of the office; a running service follows in seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from api.cli.pki_offline import DONE, Offline, answered, name_of, opened, say
from api.cli.words import counted, utc
from api.errors import Refused
from api.flows.office import withdraw_codes
from api.flows.office_journal import serial_text
from pki.roles import Role
from pki.store.listing import Sought
from pki.store.records import CertificateAbsent, Issued, Reason

MAX_ROUNDS: Final = 8
"""How often a party is looked at again: who renews meanwhile has one more."""


class RevocationUnclear(Refused):
    """Either one certificate is named, or a party."""

    code = "api/revocation-unclear"
    title = "What is to be revoked is not clear"


def run(
    config: Path,
    name: str | None,
    *,
    party: str | None = None,
    role: Role | None = None,
    is_dry: bool = False,
    reason: Reason,
    invalid_from_ms: int | None,
    json: bool,
) -> int:
    """Exit code 0 when it is revoked and the lists say so, or the party has nothing left that holds; 2 when not."""

    def act() -> int:
        if (name is None) == (party is None) or (name is not None and (role is not None or is_dry)):
            raise RevocationUnclear("one certificate or one party", expected="NAME, or --party with or without --role")
        with opened(config) as office:
            if name is not None:
                return _one(office, name, reason, invalid_from_ms, json=json)
            sought = Sought(party_id=party, role=role, is_revoked=False)
            return _whole(office, sought, reason, invalid_from_ms, is_dry=is_dry, json=json)

    return answered(act, json=json)


def _one(office: Offline, name: str, reason: Reason, invalid_from_ms: int | None, *, json: bool) -> int:
    try:
        held = office.held(name)
        withdraw_codes(office.issuing.codes, held, reason)
        issuer, serial, purpose = held.issuer_key_sha256, held.serial, held.purpose
    except CertificateAbsent:
        # A gap: the store knows its intent, and refuses the name if it does not.
        issuer, _, digits = name.partition(".")
        serial, purpose = int(digits, 16), None
    standing = office.issuing.hierarchy.revoke(
        issuer, serial, reason, office.now_ms(purpose), invalid_from_ms=invalid_from_ms
    )
    lists = office.publish(issuer)
    called = f"{issuer}.{serial_text(serial)}"
    document = {
        "name": called,
        "revoked_at_ms": standing.revoked_at_ms,
        "reason": standing.reason,
        "invalid_from_ms": standing.invalid_from_ms,
        "lists": lists,
    }
    written = counted(lists, "list", "lists")
    text = f"revoked {called}\n  {standing.reason} at {utc(standing.revoked_at_ms)}; {written} written"
    say(document, text, json=json)
    return DONE


def _whole(
    office: Offline, sought: Sought, reason: Reason, invalid_from_ms: int | None, *, is_dry: bool, json: bool
) -> int:
    """Every credential of the party that still holds, whichever it was renewed from, and the codes for others."""
    # Nothing left is done; nothing ever is a name that was typed wrong, and its credentials would go on holding.
    if not office.issuing.listing.page(Sought(party_id=sought.party_id, role=sought.role)):
        raise CertificateAbsent("nothing was ever issued to that party", expected="its id, as `pki list` shows it")
    done: dict[str, Issued] = {}
    codes = 0
    for _ in range(MAX_ROUNDS):
        left = [one for one in _open(office, sought) if name_of(one) not in done]
        if not left:
            break
        for held in left:
            done[name_of(held)] = held
            if not is_dry:
                codes += withdraw_codes(office.issuing.codes, held, reason)
                now_ms = office.now_ms(held.purpose)
                office.issuing.hierarchy.revoke(
                    held.issuer_key_sha256, held.serial, reason, now_ms, invalid_from_ms=invalid_from_ms
                )
    issuers = sorted({held.issuer_key_sha256 for held in done.values()})
    lists = 0 if is_dry else sum(map(office.publish, issuers))
    rows: list[dict[str, Any]] = [
        {"name": called, "profile": held.profile, "not_after_ms": held.not_after_ms} for called, held in done.items()
    ]
    document = {"party": sought.party_id, "credentials": rows, "codes": codes, "lists": lists, "dry_run": is_dry}
    lines = [f"  {row['name']}  {row['profile']} until {utc(row['not_after_ms'])}" for row in rows]
    what = "would be revoked" if is_dry else f"revoked ({reason}); {counted(lists, 'list', 'lists')} written"
    say(document, "\n".join([f"{counted(len(rows), 'credential', 'credentials')} {what}", *lines]), json=json)
    return DONE


def _open(office: Offline, sought: Sought) -> Iterator[Issued]:
    """What holds still. A station's certificates name its operator: they are meant where the role says so."""
    for one in office.issuing.listing.all(sought):
        held = one.issued
        is_meant = held.role is not Role.STATION or sought.role is Role.STATION
        if is_meant and held.not_after_ms >= office.now_ms(held.purpose):
            yield held


def lists(config: Path, *, json: bool) -> int:
    """Exit code 0 when every issuing authority has a list made just now, 2 when not."""

    def act() -> int:
        with opened(config) as office:
            made = {one.name: office.publish(one.key_sha256) for one in office.authorities()}
            say(made, f"{sum(made.values())} lists written to {office.settings.pki.crl_dir.name}", json=json)
        return DONE

    return answered(act, json=json)
