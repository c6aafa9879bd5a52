"""Later ceremonies, each from a reviewed file too: an authority or a root is followed or ended, a root signs its list.

They need the root's key for as long as they last, and change nothing of what is there: they add.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from pki import keyplace, pkcs11, rollover, transcript
from pki.authority import Authority
from pki.ceremony import TRANSCRIPTS, BadSpec, read_spec, require_first
from pki.hierarchy import Hierarchy, save_authority
from pki.keys import Signer, require_online
from pki.roles import Group
from pki.store.records import CeremonyRecord, Reason

MAX_STEPS = 32


class FollowSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="follow"):
    """A next generation of the issuing authority of `group`; `key` is a place in a token, or a file without it."""

    group: Group
    key: str | None = None


class FollowRootSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="follow-root"
):
    """A next root beside the one that is there."""

    key: str | None = None


class ListSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="root-list"):
    """The next revocation list of every root whose key is here."""


class RevokeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="revoke"):
    """The issuing authority of this name ("fo", "fo-g2") ends for ever, and all that it issued; the list says so."""

    authority: str
    reason: Reason


class SuccessionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done, in order; `ceremony` is its id, given once for ever."""

    ceremony: str
    performed_by: tuple[str, ...] = ()
    steps: tuple[FollowSpec | FollowRootSpec | ListSpec | RevokeSpec, ...]


@dataclass(frozen=True, slots=True)
class Succession:
    """What a later ceremony made: the hierarchy from now on, what is new in it, lists (DER) by name, the transcript."""

    hierarchy: Hierarchy
    made: tuple[Authority, ...]
    crls: dict[str, bytes]
    transcript: bytes
    signature: bytes


def parse_spec(data: bytes) -> SuccessionSpec:
    """The later ceremony that the TOML in `data` describes, or BadSpec."""
    spec = read_spec(data, SuccessionSpec)
    if not spec.ceremony or not 0 < len(spec.steps) <= MAX_STEPS:
        raise BadSpec("a later ceremony has an id and steps", expected=f"1 to {MAX_STEPS}", found=len(spec.steps))
    return spec


def perform(
    spec: SuccessionSpec,
    hierarchy: Hierarchy,
    *,
    now_ms: int,
    folder: Path,
    password: bytes | None,
    root_folder: Path,
    root_password: bytes | None,
) -> Succession:
    """The steps of `spec` are done; new authorities are in the folders, as `Hierarchy.save` puts them.

    Each new authority has its first list, for without one nothing under it is known to be good. It is recorded in the
    hierarchy's store, so that it is done once: CeremonyReplayed. Raises BadSpec for an authority that is not there,
    and what the steps raise; what those before made is then in the store alone, and stands for nothing.
    """
    store = hierarchy.root.store
    digest = transcript.spec_sha256(spec)
    require_first(store, spec.ceremony)
    require_online(hierarchy.root.signer)
    _require_possible(spec, hierarchy)
    made: list[Authority] = []
    crls: dict[str, bytes] = {}
    for step in spec.steps:
        if isinstance(step, ListSpec):
            crls |= {root.name: root.crl(now_ms) for root in hierarchy.roots() if root.online}
        elif isinstance(step, RevokeSpec):
            root = _revoke(hierarchy, step, now_ms)
            crls[root.name] = root.crl(now_ms)
        elif isinstance(step, FollowSpec):
            signer = _signer(step.key, ec.SECP256R1())
            hierarchy, authority = rollover.follow_issuing(hierarchy, step.group, now_ms=now_ms, signer=signer)
            made.append(authority)
        else:
            signer = _signer(step.key, ec.SECP384R1())
            hierarchy, authority = rollover.follow_root(hierarchy, now_ms=now_ms, signer=signer)
            made.append(authority)
    crls = {authority.name: authority.crl(now_ms) for authority in made if authority.name not in crls} | crls
    text = transcript.written(
        ceremony=spec.ceremony,
        spec=spec,
        at_ms=[now_ms],
        performed_by=spec.performed_by,
        authorities=made,
        certificates=[],
        crls=crls.values(),
    )
    signature = transcript.signed(text, hierarchy.root)
    for authority in made:
        save_authority(authority, folder, password, root_folder=root_folder, root_password=root_password)
    store.add_ceremony(CeremonyRecord(spec.ceremony, digest, now_ms, text))
    place = folder / TRANSCRIPTS
    place.mkdir(exist_ok=True)
    (place / f"{digest[:16]}.json").write_bytes(text)
    (place / f"{digest[:16]}.sig").write_bytes(signature)
    return Succession(hierarchy, tuple(made), crls, text, signature)


def _require_possible(spec: SuccessionSpec, hierarchy: Hierarchy) -> None:
    """What is named is there, before anything is signed: BadSpec, or what `keyplace.parse` raises."""
    known = {one.name for one in hierarchy.authorities() if one.group is not None}
    for step in spec.steps:
        if isinstance(step, RevokeSpec):
            if step.authority not in known:
                raise BadSpec(
                    "no issuing authority has this name", expected=", ".join(sorted(known)), found=step.authority
                )
        elif not isinstance(step, ListSpec) and step.key is not None:
            keyplace.parse(step.key)


def _revoke(hierarchy: Hierarchy, step: RevokeSpec, now_ms: int) -> Authority:
    """The root that ended the authority; its next list has to say so."""
    found = next(one for one in hierarchy.authorities() if one.group is not None and one.name == step.authority)
    root = next(one for one in hierarchy.roots() if one.certificate == found.root)
    require_online(root.signer)
    root.revoke(found.certificate.serial_number, step.reason, now_ms)
    return root


def _signer(place: str | None, curve: ec.EllipticCurve) -> Signer | None:
    """A new key in a token; None if the key is to be a file."""
    return None if place is None else pkcs11.generate(keyplace.parse(place), curve)
