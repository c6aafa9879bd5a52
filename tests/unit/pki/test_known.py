"""What is known of authorities saves time and decides nothing: every leaf, window and root is looked at each time.

`World.check` asks every question of the other tests twice, without and with what is known; here is what they leave out.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import DNSName

from pki import known, path
from pki.errors import Refused
from pki.known import KnownAuthorities
from pki.opened import OpenedCertificate
from pki.roles import Group, Purpose
from pki.status import Revoked, StatusIndeterminate, StatusSet
from pki.store.records import Reason
from pki.validation import validate
from tests.support import pki_world

FO = "FI-AUR"
CLIENT = Purpose.TLS_CLIENT
DAY_MS = 86_400_000


class Watched:
    """Authorities that are known, and how often `path.build` was still asked."""

    def __init__(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.known = KnownAuthorities()
        self.whole = 0
        build = path.build

        def counted(*args: Any, **kwargs: Any) -> tuple[OpenedCertificate, ...]:
            self.whole += 1
            return build(*args, **kwargs)

        monkeypatch.setattr(path, "build", counted)

    def build(self, chain: Sequence[bytes], **given: Any) -> tuple[OpenedCertificate, ...]:
        given = {"roots": self.world.made.anchors.certificates, "at_ms": self.world.tls_at_ms} | given
        return self.known.build(chain[0], chain[1:], given.pop("roots"), **given)


@pytest.fixture
def watched(world: Any, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """The FO authority is known already, from one whole path."""
    made = Watched(world, monkeypatch)
    assert len(made.build(world.chain(FO, CLIENT))) == 3
    assert made.whole == 1
    return made


def test_second_leaf_of_an_authority_takes_the_short_way_to_the_same_chain(watched: Watched) -> None:
    world = watched.world
    other = world.forge(world.chain(FO, CLIENT)[0], world.made.hierarchy.issuing[Group.FO], serial=77)
    for chain in (world.chain(FO, CLIENT), other):
        short = watched.build(chain)
        assert watched.whole == 1
        assert short == path.build(chain[0], chain[1:], world.made.anchors.certificates, at_ms=world.at_ms(CLIENT))
        watched.whole = 1


def test_leaf_of_a_known_authority_with_another_signature_is_untrusted(watched: Watched) -> None:
    world = watched.world
    leaf, issuing = world.chain(FO, CLIENT)
    stranger = pki_world.perform().made.hierarchy.issuing[Group.FO].signer
    forged = pki_world.resigned(leaf, stranger, lambda _body: None)
    with pytest.raises(path.Untrusted):
        watched.build((forged, issuing))
    touched = bytearray(leaf)
    touched[-1] ^= 1
    with pytest.raises(Refused):
        watched.build((bytes(touched), issuing))


def test_known_authority_does_not_count_under_other_roots(watched: Watched) -> None:
    chain, others = watched.world.chain(FO, CLIENT), pki_world.perform().made.anchors.certificates
    watched.whole = 0
    with pytest.raises(path.Untrusted):
        watched.build(chain, roots=others)
    assert watched.whole == 1


def test_windows_of_known_authorities_are_looked_at_each_time(watched: Watched) -> None:
    world = watched.world
    fo, root = world.made.hierarchy.issuing[Group.FO], world.made.hierarchy.root
    wide = {
        "not_before": root.certificate.not_valid_before_utc - dt.timedelta(days=30),
        "not_after": root.certificate.not_valid_after_utc + dt.timedelta(days=30),
    }
    chain = world.forge(world.chain(FO, CLIENT)[0], fo, **wide)
    assert watched.build(chain)
    for end_ms in (path.not_after_ms(fo.certificate), path.not_after_ms(root.certificate)):
        with pytest.raises(path.Expired):
            watched.build(chain, at_ms=end_ms + DAY_MS)
    for start_ms in (path.not_before_ms(fo.certificate), path.not_before_ms(root.certificate)):
        with pytest.raises(path.NotYetValid):
            watched.build(chain, at_ms=start_ms - DAY_MS)


def test_end_of_the_root_ends_a_known_authority_that_outlives_it(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = world.made.hierarchy.root
    late = {"not_after": root.certificate.not_valid_after_utc + dt.timedelta(days=60)}
    leaf, issuing = world.chain(FO, CLIENT)
    longer = world.forge(issuing, root, **late)[0]

    class Outliving:
        certificate, signer = x509.load_der_x509_certificate(longer), world.made.hierarchy.issuing[Group.FO].signer

    chain = (world.forge(leaf, Outliving(), **late)[0], longer)
    watched = Watched(world, monkeypatch)
    for _ in range(2):
        assert watched.build(chain)
    assert watched.whole == 1
    with pytest.raises(path.Untrusted):
        watched.build(chain, at_ms=path.not_after_ms(root.certificate) + DAY_MS)


def test_constraints_of_a_known_authority_bind_each_leaf(watched: Watched) -> None:
    world = watched.world
    leaf, _issuing = world.chain(FO, CLIENT)
    outside = x509.SubjectAlternativeName([DNSName("elsewhere.example")])
    chain = world.forge(
        leaf,
        world.made.hierarchy.issuing[Group.FO],
        replaced={x509.SubjectAlternativeName.oid: (outside, False)},
    )
    with pytest.raises(path.Untrusted):
        watched.build(chain)


def test_known_authority_is_no_leaf_and_a_host_is_compared_each_time(watched: Watched) -> None:
    world = watched.world
    issuing = world.chain(FO, CLIENT)[1]
    with pytest.raises(Refused):
        watched.build((issuing, issuing))
    server = world.chain("FI-NGC", Purpose.TLS_SERVER)
    for _ in range(2):
        assert watched.build(server, server_name=DNSName("localhost"))
    with pytest.raises(path.Untrusted):
        watched.build(server, server_name=DNSName("elsewhere.example"))


def test_revocation_counts_for_a_known_authority_too(own_world: Any) -> None:
    hierarchy, chain = own_world.made.hierarchy, own_world.chain(FO, CLIENT)
    at_ms, kept = own_world.tls_at_ms, KnownAuthorities()

    def asked(status: StatusSet) -> object:
        return validate(
            chain[0],
            chain[1:],
            anchors=own_world.made.anchors,
            status=status,
            at_ms=at_ms,
            purpose=CLIENT,
            known=kept,
        )

    for _ in range(2):
        assert asked(own_world.status)
    with pytest.raises(StatusIndeterminate):
        asked(StatusSet())
    serial = x509.load_der_x509_certificate(chain[1]).serial_number
    hierarchy.revoke(hierarchy.root.key_sha256, serial, Reason.CA_COMPROMISE, at_ms)
    with pytest.raises(Revoked):
        asked(StatusSet(hierarchy.crl(at_ms).values()))


def test_no_more_is_remembered_than_the_cap(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "MAX_KNOWN", 2)
    watched = Watched(world, monkeypatch)
    parties = (FO, "FI-NGC", "FI-VOL", FO)
    for party in parties:
        watched.build(world.chain(party, CLIENT))
    assert watched.whole == len(parties)
    watched.build(world.chain(FO, CLIENT))
    assert watched.whole == len(parties)
