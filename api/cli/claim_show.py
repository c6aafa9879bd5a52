"""`flexledger claim show`: what a claim or a link says; nothing of it is believed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer

from api.cli import claim_files
from api.cli.claim_issue import REFUSED, refused
from api.cli.words import utc
from api.errors import ApiError
from ledger.errors import LedgerError
from pki.asn1 import attributecert, claims, links
from pki.asn1.attributecert import Attribute, AttributeInfo
from pki.asn1.claims import Claim, ConformityClaims, Thing, TypeRef
from pki.errors import PkiError


def run(document: Path, *, json: bool) -> int:
    """Exit code 0 when it could be read, 2 when not. Signature, issuer and status are not looked at."""
    try:
        shown = described(attributecert.parse(claim_files.ders([document])[0]).info)
    except (ApiError, LedgerError, PkiError, ValueError) as error:
        refused(error, json=json)
        return REFUSED
    if json:
        typer.echo(msgspec.json.encode(shown).decode())
    else:
        for line in _lines(shown, ""):
            typer.echo(line)
        typer.echo("not verified: flexledger claim check does that")
    return 0


def described(info: AttributeInfo) -> dict[str, Any]:
    """The document in words and JSON's kinds; raises `pki/malformed-der` where its value is not what it should be."""
    shown: dict[str, Any] = {
        "kind": "claim" if info.attribute is Attribute.CONFORMITY else "link",
        "serial": f"{info.serial:x}",
        "issuer_key_id": info.issuer_key_id.hex(),
        "holder": info.holder_kind.name,
        "holder_digest": info.holder_digest.hex(),
        "not_before": utc(info.not_before_ms),
        "not_after": utc(info.not_after_ms),
        "revocable": not info.no_rev_avail,
    }
    if info.attribute is Attribute.CONFORMITY:
        return {**shown, **_claims(claims.decode(info.value))}
    link = links.decode(info.value)
    thing = Thing(link.kind, link.spki_sha256, link.type_ref)
    return {**shown, "thing": _thing(thing), **_known({"record_sha256": link.record_sha256})}


def _claims(content: ConformityClaims) -> dict[str, Any]:
    return {"things": [_thing(one) for one in content.things], "claims": [_claim(one) for one in content.claims]}


def _thing(thing: Thing) -> dict[str, Any]:
    return _known(
        {
            "kind": thing.kind.name,
            "key_sha256": thing.spki_sha256,
            "type": None if thing.type_ref is None else _type(thing.type_ref),
            "public_id": thing.public_id,
            "commitment": thing.commitment,
        }
    )


def _type(found: TypeRef) -> dict[str, Any]:
    return _known(msgspec.structs.asdict(found))


def _claim(claim: Claim) -> dict[str, Any]:
    members = msgspec.structs.asdict(claim)
    members["scheme"] = claim.scheme.name
    members["services"] = sorted(claim.services)
    members["functions"] = [one.name for one in sorted(claim.functions)] or None
    members["regions"] = list(claim.regions)
    return _known(members)


def _known(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _lines(value: dict[str, Any], margin: str) -> Iterator[str]:
    for name, member in value.items():
        if isinstance(member, dict):
            yield f"{margin}{name}"
            yield from _lines(member, margin + "  ")
        elif isinstance(member, list) and member and isinstance(member[0], dict):
            for one in member:
                yield f"{margin}{name}"
                yield from _lines(one, margin + "  ")
        else:
            text = " ".join(member) if isinstance(member, list) else member
            yield f"{margin}{name} {text}"
