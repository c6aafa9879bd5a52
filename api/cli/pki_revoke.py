"""`flexledger pki revoke` and `crl`: on the machine of the office; a running service follows in seconds."""

from pathlib import Path

from api.cli.pki_offline import DONE, answered, opened, say
from api.cli.words import counted, utc
from api.flows.office import withdraw_codes
from api.flows.office_journal import serial_text
from pki.roles import Group
from pki.store.records import CertificateAbsent, Reason


def run(config: Path, name: str, *, reason: Reason, invalid_from_ms: int | None, json: bool) -> int:
    """Exit code 0 when it is revoked and the lists say so, 2 when not."""

    def act() -> int:
        with opened(config) as office:
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

    return answered(act)


def lists(config: Path, *, json: bool) -> int:
    """Exit code 0 when every issuing authority has a list made just now, 2 when not."""

    def act() -> int:
        with opened(config) as office:
            made = {group: office.publish(office.issuing.hierarchy.issuing[group].key_sha256) for group in Group}
            say(made, f"{sum(made.values())} lists written to {office.settings.pki.crl_dir.name}", json=json)
        return DONE

    return answered(act)
