"""The next generation of an authority beside the one before, which issues no more and answers for its leaves.

An issuing authority is followed at once: its leaves travel with its certificate, so nobody has to be told before. A
root is followed in two steps, for roots reach those who trust them by other ways: first the new root is made and handed
out, and both are trusted; when everybody has it, the issuing authorities are followed under it.
"""

from dataclasses import replace

from cryptography import x509

from pki import keys, path, profiles
from pki.authority import Authority, create_issuing, create_root
from pki.errors import Refused
from pki.hierarchy import Hierarchy
from pki.roles import Group
from pki.store.records import Query


class RollOverRefused(Refused):
    """The next generation cannot be made like this: its key is the old one, or the root above has no time left."""

    code = "pki/roll-over"
    title = "Roll-over refused"


def follow_issuing(
    hierarchy: Hierarchy,
    group: Group,
    *,
    now_ms: int,
    signer: keys.Signer | None = None,
    order_id: str | None = None,
) -> tuple[Hierarchy, Authority]:
    """The hierarchy in which a new generation of `group` issues, under the newest root, and that new authority.

    The one before is retired: its leaves stay valid to their end, and it signs their lists. Raises RollOverRefused,
    `keys.KeyOffline` without the root's key, and what `create_issuing` raises.
    """
    before = hierarchy.issuing[group]
    _require_another_key(hierarchy, signer)
    require_time(hierarchy.root, group, now_ms)
    made = create_issuing(
        hierarchy.root,
        group,
        organisation=_organisation(hierarchy.root.certificate),
        now_ms=now_ms,
        signer=signer,
        generation=before.generation + 1,
        order_id=order_id,
    )
    issuing = {**hierarchy.issuing, group: made}
    return Hierarchy(hierarchy.root, issuing, (*hierarchy.former, replace(before, retired=True))), made


def require_time(root: Authority, group: Group, now_ms: int) -> None:
    """The root lives longer than any leaf that an authority of `group` would issue now; or RollOverRefused."""
    left_ms = path.not_after_ms(root.certificate) - now_ms
    longest_ms = max(profile.max_lifetime_ms for profile in profiles.PROFILES.values() if profile.group is group)
    if left_ms < longest_ms:
        raise RollOverRefused("the root ends before a leaf would", expected=f"at least {longest_ms} ms", found=left_ms)


def follow_root(
    hierarchy: Hierarchy, *, now_ms: int, signer: keys.Signer | None = None, order_id: str | None = None
) -> tuple[Hierarchy, Authority]:
    """The hierarchy with a new root beside the one before, both of them anchors, and that new root.

    The issuing authorities stay under the one before until `follow_issuing` follows them too. The key of the old root
    is not needed. Raises RollOverRefused, and what `create_root` raises.
    """
    before = hierarchy.root
    _require_another_key(hierarchy, signer)
    made = create_root(
        organisation=_organisation(before.certificate),
        zone=before.zone,
        now_ms=now_ms,
        store=before.store,
        journal=before.journal,
        development=before.development,
        signer=signer,
        generation=before.generation + 1,
        blocked=before.blocked,
        second_opinion=before.second_opinion,
        order_id=order_id,
    )
    return Hierarchy(made, hierarchy.issuing, (*hierarchy.former, replace(before, retired=True))), made


def may_leave(hierarchy: Hierarchy, authority: Authority, now_ms: int) -> bool:
    """Whether a former authority has nothing left to answer for: it ended, or no certificate of its lives any more."""
    if not authority.retired:
        return False
    query = Query(issuer_key_sha256=authority.key_sha256, ends_from_ms=now_ms)
    return not hierarchy.root.store.page(query, limit=1).found


def _require_another_key(hierarchy: Hierarchy, signer: keys.Signer | None) -> None:
    if signer is None:
        return
    name = keys.spki_sha256(signer.public_key())
    if any(authority.key_sha256 == name for authority in hierarchy.authorities()):
        raise RollOverRefused("a new generation has a new key", expected="a key that no authority here has")


def _organisation(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    return str(found[0].value)
