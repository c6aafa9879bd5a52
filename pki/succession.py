"""Later ceremonies, each from a reviewed file too: an authority or a root is followed or ended, a root signs its list,
or says which root counts in a log.

They need the root's key for as long as they last, and change nothing of what is there: they add. What is going to be
made is written down first (`pki.begun`), so a ceremony that was killed is finished by performing the same file again.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from pki import begun, durable, issuance, keyplace, keys, names, pkcs11, rollover, transcript, vouching
from pki.authority import Authority
from pki.begun import Begun
from pki.ceremony import TRANSCRIPTS, BadSpec, read_spec, require_first
from pki.hierarchy import Hierarchy, save_certificate
from pki.keys import Signer, require_online
from pki.roles import Group
from pki.store.records import CeremonyRecord, Reason
from pki.vouching import LogName, Paper

MAX_STEPS: Final = 32
PAPERS: Final = "papers"
"""Below the folder of the authorities: what roots said, each in a file to be handed to the log that it is for."""
Moment = Annotated[dt.datetime, msgspec.Meta(tz=True)]


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


class AdoptRootSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="adopt-root"
):
    """The newest root is to count in `log` from `from` on, by the word of the root `by` and its own."""

    log: LogName
    from_: Moment = msgspec.field(name="from")
    by: str | None = None
    """Name of the root that vouches ("root"); the one before the newest if nothing is said."""


class RetireRootSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="retire-root"
):
    """The root of this name counts in `log` until `until`, by the word of the newest root."""

    log: LogName
    root: str
    until: Moment


Step = FollowSpec | FollowRootSpec | ListSpec | RevokeSpec | AdoptRootSpec | RetireRootSpec


class SuccessionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done, in order; `ceremony` is its id, given once for ever."""

    ceremony: str
    performed_by: tuple[str, ...] = ()
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Succession:
    """What a later ceremony made: the hierarchy from now on, what is new in it, lists (DER) and papers by name."""

    hierarchy: Hierarchy
    made: tuple[Authority, ...]
    crls: dict[str, bytes]
    transcript: bytes
    signature: bytes
    papers: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Safe:
    """Where keys are: those of issuing authorities in `folder`, those of roots in `root_folder`."""

    folder: Path
    password: bytes | None
    root_folder: Path
    root_password: bytes | None

    def place(self, name: str) -> tuple[Path, bytes | None]:
        """The folder of an authority's key, and its password."""
        is_root = name.partition("-")[0] == "root"
        return (self.root_folder, self.root_password) if is_root else (self.folder, self.password)


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
    publish: Callable[[Succession], None] | None = None,
) -> Succession:
    """The steps of `spec` are done; new authorities are in the folders, as `Hierarchy.save` puts them.

    Each new authority has its first list, for without one nothing under it is known to be good. `publish` is called
    with what was made, perhaps more than once, before the ceremony is recorded in the hierarchy's store: from then on
    it is done, CeremonyReplayed. Killed before that, it is finished by performing it again, and makes what it had set
    out to make. Raises BadSpec for an authority that is not there, `begun.CeremonyUnfinished` while another ceremony
    is not finished, and what the steps raise.
    """
    store = hierarchy.root.store
    digest = transcript.spec_sha256(spec)
    records = folder / TRANSCRIPTS
    begun.tidy(records, store)
    require_first(store, spec.ceremony)
    require_online(hierarchy.root.signer)
    safe = Safe(folder, password, root_folder, root_password)
    plan = _plan(spec, hierarchy)
    wanted = Begun(ceremony=spec.ceremony, spec_sha256=digest, at_ms=now_ms, plan=plan)
    if not begun.is_begun(records, wanted):
        _require_possible(spec, hierarchy, now_ms)
    # Commit point: from here on this ceremony makes these generations and no others, however often it is performed.
    said = begun.begin(records, wanted)
    made: list[Authority] = []
    crls: dict[str, bytes] = {}
    papers: dict[str, bytes] = {}
    for number, (step, name) in enumerate(zip(spec.steps, said.plan, strict=True)):
        if isinstance(step, ListSpec):
            crls |= {root.name: root.crl(now_ms) for root in hierarchy.roots() if root.online}
        elif isinstance(step, RevokeSpec):
            root = _revoke(hierarchy, step, now_ms)
            crls[root.name] = root.crl(now_ms)
        elif isinstance(step, AdoptRootSpec | RetireRootSpec):
            papers[f"{digest[:16]}-{number}.json"] = vouching.encode(_paper(hierarchy, step, now_ms))
        else:
            assert name is not None  # noqa: S101 -- `_plan` names what each of these steps makes
            order = f"ceremony/{digest[:32]}/{number}"
            hierarchy, authority = _followed(hierarchy, step, name, safe, now_ms=now_ms, order=order)
            made.append(authority)
    crls = {authority.name: authority.crl(now_ms) for authority in made if authority.name not in crls} | crls
    text = transcript.written(
        ceremony=spec.ceremony,
        spec=spec,
        at_ms=[said.at_ms, now_ms],
        performed_by=spec.performed_by,
        authorities=made,
        certificates=[],
        crls=crls.values(),
        papers=papers.values(),
    )
    done = Succession(hierarchy, tuple(made), crls, text, transcript.signed(text, hierarchy.root), papers)
    _keep(folder, digest, done)
    if publish is not None:
        publish(done)
    # Commit point: everything is where it belongs, and the ceremony is done.
    store.add_ceremony(CeremonyRecord(spec.ceremony, digest, now_ms, text))
    begun.end(records)
    return done


def _plan(spec: SuccessionSpec, hierarchy: Hierarchy) -> tuple[str | None, ...]:
    """The name of what each step makes, counted on from the newest generations; None where it makes nothing."""
    newest: dict[Group | None, int] = {None: hierarchy.root.generation}
    newest |= {group: one.generation for group, one in hierarchy.issuing.items()}
    plan: list[str | None] = []
    for step in spec.steps:
        if isinstance(step, FollowSpec | FollowRootSpec):
            group = step.group if isinstance(step, FollowSpec) else None
            newest[group] += 1
            plan.append(names.of_generation("root" if group is None else group.lower(), newest[group]))
        else:
            plan.append(None)
    return tuple(plan)


def _require_possible(spec: SuccessionSpec, hierarchy: Hierarchy, now_ms: int) -> None:
    """What is named is there, before anything is made: BadSpec, or what the places of keys raise."""
    known = {one.name for one in hierarchy.authorities() if one.group is not None}
    has_new_root = False
    for step in spec.steps:
        if isinstance(step, RevokeSpec):
            if step.authority not in known:
                raise BadSpec(
                    "no issuing authority has this name", expected=", ".join(sorted(known)), found=step.authority
                )
        elif isinstance(step, AdoptRootSpec | RetireRootSpec):
            _require_roots(step, hierarchy, has_new_root=has_new_root)
        elif not isinstance(step, ListSpec):
            if isinstance(step, FollowSpec) and not has_new_root:
                rollover.require_time(hierarchy.root, step.group, now_ms)
            has_new_root = has_new_root or isinstance(step, FollowRootSpec)
            if step.key is not None:
                pkcs11.require_free(keyplace.parse(step.key))


def _require_roots(step: AdoptRootSpec | RetireRootSpec, hierarchy: Hierarchy, *, has_new_root: bool) -> None:
    """The roots that a paper names are there, and there is another one beside each."""
    roots = {one.name for one in hierarchy.roots()}
    named = step.by if isinstance(step, AdoptRootSpec) else step.root
    if named is not None and named not in roots:
        raise BadSpec("no root has this name", expected=", ".join(sorted(roots)), found=named)
    if not has_new_root and (len(roots) == 1 or named == hierarchy.root.name):
        raise BadSpec("it takes two roots", expected="a root beside the newest one", found=named or "one root")


def _followed(
    hierarchy: Hierarchy, step: FollowSpec | FollowRootSpec, name: str, safe: Safe, *, now_ms: int, order: str
) -> tuple[Hierarchy, Authority]:
    """The generation of this name, and the hierarchy with it: as it was found, or made and saved."""
    found = next((one for one in hierarchy.authorities() if one.name == name), None)
    if found is not None:
        return hierarchy, found
    signer = _signer(step.key, name, safe, is_root=isinstance(step, FollowRootSpec))
    # A kill may have left an intent that nobody will carry out: its serial number is revoked, and the order is free.
    store, journal = hierarchy.root.store, hierarchy.root.journal
    issuance.repair(store, journal, now_ms=now_ms, patience_ms=None, spki_sha256=keys.spki_sha256(signer.public_key()))
    if isinstance(step, FollowSpec):
        hierarchy, made = rollover.follow_issuing(hierarchy, step.group, now_ms=now_ms, signer=signer, order_id=order)
    else:
        hierarchy, made = rollover.follow_root(hierarchy, now_ms=now_ms, signer=signer, order_id=order)
    # Commit point: the authority is found by whoever loads the folder.
    save_certificate(made, safe.folder, safe.place(name)[0])
    return hierarchy, made


def _signer(key: str | None, name: str, safe: Safe, *, is_root: bool) -> Signer:
    """The key of the generation, saved before it signs or is certified; one that is saved already is taken."""
    place, password = safe.place(name)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if key is not None:
        wanted = keyplace.parse(key)
        # Nothing was there when the ceremony began, so what is there now is what it made.
        made = pkcs11.find_key(wanted) or pkcs11.generate(wanted, ec.SECP384R1() if is_root else ec.SECP256R1())
        durable.write(place / f"{name}.key.uri", f"{made.place}\n".encode())
        return made
    file = place / f"{name}.key.pem"
    if file.exists():
        return keys.load_private(file, password)
    fresh = keys.generate_root() if is_root else keys.generate()
    beside = place / f".{name}.key.part"
    beside.unlink(missing_ok=True)
    keys.save_private(beside, fresh, password)
    # Commit point: this is the generation's key.
    beside.rename(file)
    durable.settle(place)
    return fresh


def _paper(hierarchy: Hierarchy, step: AdoptRootSpec | RetireRootSpec, now_ms: int) -> Paper:
    """What the roots say for a log, under their keys; `keys.KeyOffline` where one of these is not here."""
    newest, before = sorted(hierarchy.roots(), key=lambda root: root.generation, reverse=True)[:2]
    if isinstance(step, RetireRootSpec):
        ended = next(one for one in hierarchy.roots() if one.name == step.root)
        return vouching.retire(
            step.log,
            ended.certificate,
            by=newest.certificate,
            by_signer=newest.signer,
            until_ms=_ms(step.until),
        )
    by = before if step.by is None else next(one for one in hierarchy.roots() if one.name == step.by)
    return vouching.adopt(
        step.log,
        newest.certificate,
        newest.signer,
        by=by.certificate,
        by_signer=by.signer,
        from_ms=_ms(step.from_),
        now_ms=now_ms,
    )


def _ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)


def _keep(folder: Path, digest: str, done: Succession) -> None:
    """Transcript and papers are in the folder; the same ceremony writes the same files again."""
    for name, data in ((f"{digest[:16]}.json", done.transcript), (f"{digest[:16]}.sig", done.signature)):
        durable.write(folder / TRANSCRIPTS / name, data)
    if done.papers:
        (folder / PAPERS).mkdir(exist_ok=True)
    for name, data in done.papers.items():
        durable.write(folder / PAPERS / name, data)


def _revoke(hierarchy: Hierarchy, step: RevokeSpec, now_ms: int) -> Authority:
    """The root that ended the authority; its next list has to say so."""
    found = next(one for one in hierarchy.authorities() if one.group is not None and one.name == step.authority)
    root = next(one for one in hierarchy.roots() if one.certificate == found.root)
    require_online(root.signer)
    root.revoke(found.certificate.serial_number, step.reason, now_ms)
    return root
