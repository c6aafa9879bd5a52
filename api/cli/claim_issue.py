"""`flexledger claim issue`, `link`, `revoke` and `crl`: what a conformity body or an operator signs."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import typer

from api.cli import claim_files, failures
from api.cli.claim_files import ClaimFileRefused
from api.errors import ApiError
from ledger.errors import LedgerError
from pki import attribute
from pki.asn1 import attributecert
from pki.attribute import AttributeAuthority
from pki.clock import SystemClock
from pki.errors import PkiError
from pki.store.records import Reason

REFUSED: Final = 2


def issue(spec: Path, *, key: Path, certificate: Path, store: Path, out: Path, json: bool) -> int:
    """Exit code 0 when the claim was signed and stored, 2 when nothing was."""

    def act(by: AttributeAuthority, now_ms: int) -> bytes:
        read = claim_files.parse(spec, claim_files.ClaimSpec)
        window = attribute.window_from(now_ms, read.days * claim_files.DAY_MS, by.certificate)
        return by.issue_claim(claim_files.claims_of(read, spec.parent), window=window, now_ms=now_ms)

    return _sign(act, key=key, certificate=certificate, store=store, out=out, json=json)


def link(spec: Path, *, key: Path, certificate: Path, store: Path, out: Path, json: bool) -> int:
    """Exit code 0 when the link was signed and stored, 2 when nothing was."""

    def act(by: AttributeAuthority, now_ms: int) -> bytes:
        read = claim_files.parse(spec, claim_files.LinkSpec)
        window = attribute.window_from(now_ms, read.days * claim_files.DAY_MS, by.certificate)
        return by.issue_link(claim_files.link_of(read, spec.parent), window=window, now_ms=now_ms)

    return _sign(act, key=key, certificate=certificate, store=store, out=out, json=json)


def revoke(document: Path, *, reason: str, key: Path, certificate: Path, store: Path, json: bool) -> int:
    """Exit code 0 when it is revoked, now or before; 2 when it is not."""

    def act(by: AttributeAuthority, now_ms: int) -> dict[str, object]:
        info = attributecert.parse(claim_files.ders([document])[0]).info
        try:
            why = Reason(reason)
        except ValueError:
            raise ClaimFileRefused("not a reason", expected=", ".join(Reason), found=reason[:64]) from None
        standing = by.revoke(info.serial, why, now_ms)
        return {"serial": f"{info.serial:x}", "revoked_at_ms": standing.revoked_at_ms, "reason": standing.reason.value}

    return _act(act, key=key, certificate=certificate, store=store, json=json)


def crl(*, key: Path, certificate: Path, store: Path, out: Path, json: bool) -> int:
    """Exit code 0 when the list was signed and written, 2 when not."""

    def act(by: AttributeAuthority, now_ms: int) -> dict[str, object]:
        data = by.crl(now_ms)
        claim_files.write_new(out, data)
        return {"file": out.name, "this_update_ms": now_ms // 1000 * 1000}

    return _act(act, key=key, certificate=certificate, store=store, json=json)


def _sign(
    sign: Callable[[AttributeAuthority, int], bytes],
    *,
    key: Path,
    certificate: Path,
    store: Path,
    out: Path,
    json: bool,
) -> int:
    def act(by: AttributeAuthority, now_ms: int) -> dict[str, object]:
        if out.exists():
            raise ClaimFileRefused("the file is there already", file=out.name)
        data = sign(by, now_ms)
        claim_files.write_new(out, data)
        info = attributecert.parse(data).info
        return {"file": out.name, "serial": f"{info.serial:x}", "not_after_ms": info.not_after_ms}

    return _act(act, key=key, certificate=certificate, store=store, json=json)


def _act(
    act: Callable[[AttributeAuthority, int], dict[str, object]],
    *,
    key: Path,
    certificate: Path,
    store: Path,
    json: bool,
) -> int:
    try:
        done = act(claim_files.authority(key, certificate, store), SystemClock().now_ms())
    except (ApiError, LedgerError, PkiError, OSError, ValueError) as error:
        refused(error, json=json)
        return REFUSED
    if json:
        typer.echo(msgspec.json.encode(done).decode())
    else:
        typer.echo("  ".join(f"{name} {value}" for name, value in done.items()))
    return 0


def refused(error: Exception, *, json: bool) -> None:
    """Says why nothing was done."""
    failures.say("refused", error, json=json)
