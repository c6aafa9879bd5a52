"""One generation follows another: the new one issues, the old one answers for its leaves to their end."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from pki import keys, path, profiles, rollover
from pki.authority import AuthorityRetired, Subscriber
from pki.csr import OpenedCsr
from pki.hierarchy import BadHierarchy, Hierarchy
from pki.journal import MemoryJournal
from pki.roles import Group, Purpose, Role
from pki.rollover import RollOverRefused
from pki.status import StatusSet
from pki.store.records import Reason
from pki.store.sqlite import SqliteStore
from pki.trust import TrustAnchors, encoded
from pki.validation import validate

NOW_MS = 1_767_225_600_000
HOUR_MS = profiles.HOUR_MS
FO = Subscriber(party_id="FI-AUR", organisation="Aurora Flex")


@pytest.fixture
def made() -> Hierarchy:
    return Hierarchy.create(
        organisation="Test", zone="flexledger.example", now_ms=NOW_MS, store=SqliteStore(), journal=MemoryJournal()
    )


def _issue(made: Hierarchy, csr: OpenedCsr, now_ms: int) -> x509.Certificate:
    return made.issue(Role.FO, Purpose.TLS_CLIENT, csr, subscriber=FO, now_ms=now_ms)


def _check(
    made: Hierarchy, leaf: x509.Certificate, issuing: x509.Certificate, anchors: TrustAnchors, at_ms: int
) -> Any:
    return validate(
        encoded(leaf),
        [encoded(issuing)],
        anchors=anchors,
        status=StatusSet(made.crl(at_ms).values()),
        at_ms=at_ms,
        purpose=Purpose.TLS_CLIENT,
        roles={Role.FO},
    )


def test_the_next_generation_issues_and_the_one_before_answers_for_its_leaves(
    made: Hierarchy, opened_csr: OpenedCsr
) -> None:
    before = _issue(made, opened_csr, NOW_MS)
    rolled, second = rollover.follow_issuing(made, Group.FO, now_ms=NOW_MS + HOUR_MS)
    first = rolled.former[0]
    assert (second.name, second.generation, first.name, first.retired) == ("fo-g2", 2, "fo", True)
    after = _issue(rolled, opened_csr, NOW_MS + HOUR_MS)
    assert after.issuer == second.certificate.subject != first.certificate.subject
    at_ms = NOW_MS + 2 * HOUR_MS
    for leaf, issuing in ((before, first), (after, second)):
        assert _check(rolled, leaf, issuing.certificate, rolled.anchors(), at_ms).party_id == "FI-AUR"
    pointer = after.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert pointer[0].full_name[0].value.endswith("/crl/fo-g2.crl")
    assert set(rolled.crl(at_ms + HOUR_MS)) == {"root", "fo", "fo-g2", "cso", "csp", "evu", "thing", "cb", "infra"}
    with pytest.raises(AuthorityRetired) as caught:
        first.issue(
            opened_csr, profile=profiles.get(Role.FO, Purpose.TLS_CLIENT), subscriber=FO, now_ms=NOW_MS + HOUR_MS
        )
    assert caught.value.code == "pki/authority-retired"


def test_a_leaf_of_the_generation_before_is_revoked_on_its_own_list(made: Hierarchy, opened_csr: OpenedCsr) -> None:
    leaf = _issue(made, opened_csr, NOW_MS)
    rolled, _ = rollover.follow_issuing(made, Group.FO, now_ms=NOW_MS + HOUR_MS)
    rolled.revoke(made.issuing[Group.FO].key_sha256, leaf.serial_number, Reason.KEY_COMPROMISE, NOW_MS + HOUR_MS)
    lists = {name: x509.load_der_x509_crl(der) for name, der in rolled.crl(NOW_MS + 2 * HOUR_MS).items()}
    assert lists["fo"].get_revoked_certificate_by_serial_number(leaf.serial_number) is not None
    assert lists["fo-g2"].get_revoked_certificate_by_serial_number(leaf.serial_number) is None


def test_a_former_authority_leaves_when_nothing_of_its_lives(made: Hierarchy, opened_csr: OpenedCsr) -> None:
    leaf = _issue(made, opened_csr, NOW_MS)
    assert not rollover.may_leave(made, made.issuing[Group.FO], NOW_MS)
    rolled, _ = rollover.follow_issuing(made, Group.FO, now_ms=NOW_MS + HOUR_MS)
    end_ms = path.not_after_ms(leaf)
    assert not rollover.may_leave(rolled, rolled.former[0], end_ms)
    assert rollover.may_leave(rolled, rolled.former[0], end_ms + 1)
    assert "fo" in rolled.crl(end_ms + 1)
    assert "fo" not in rolled.crl(path.not_after_ms(rolled.former[0].certificate) + 1000)


def test_a_root_is_followed_in_two_steps_with_both_trusted_between(made: Hierarchy, opened_csr: OpenedCsr) -> None:
    before = _issue(made, opened_csr, NOW_MS)
    announced, second_root = rollover.follow_root(made, now_ms=NOW_MS + HOUR_MS)
    assert (second_root.name, second_root.generation) == ("root-g2", 2)
    assert len(announced.anchors().roots) == 2
    old_only, new_only = made.anchors(), TrustAnchors([encoded(second_root.certificate)])
    # Between the steps everything is still under the old root, for those who have not heard of the new one.
    between = _issue(announced, opened_csr, NOW_MS + HOUR_MS)
    at_ms = NOW_MS + 2 * HOUR_MS
    old_issuing = made.issuing[Group.FO].certificate
    assert _check(announced, between, old_issuing, old_only, at_ms).party_id == "FI-AUR"
    rolled = announced
    for group in Group:
        rolled, _ = rollover.follow_issuing(rolled, group, now_ms=at_ms)
    after = _issue(rolled, opened_csr, at_ms)
    later_ms = at_ms + HOUR_MS
    new_issuing = rolled.issuing[Group.FO].certificate
    assert _check(rolled, after, new_issuing, new_only, later_ms).party_id == "FI-AUR"
    assert _check(rolled, before, old_issuing, rolled.anchors(), later_ms + 1).party_id == "FI-AUR"
    with pytest.raises(path.Untrusted):
        _check(rolled, after, new_issuing, old_only, later_ms + 2)
    assert {"root", "root-g2", "fo", "fo-g2"} <= set(rolled.crl(later_ms + HOUR_MS))


def test_all_generations_survive_their_folder_with_the_roots_apart(
    made: Hierarchy, opened_csr: OpenedCsr, tmp_path: Path
) -> None:
    announced, _ = rollover.follow_root(made, now_ms=NOW_MS)
    rolled, _ = rollover.follow_issuing(announced, Group.FO, now_ms=NOW_MS)
    rolled.save(tmp_path / "ca", b"secret", root_folder=tmp_path / "safe", root_password=b"other")
    assert {file.name for file in (tmp_path / "safe").glob("*.key.pem")} == {"root.key.pem", "root-g2.key.pem"}

    def load(root_folder: Path | None) -> Hierarchy:
        return Hierarchy.load(
            tmp_path / "ca",
            b"secret",
            store=SqliteStore(),
            journal=MemoryJournal(),
            root_folder=root_folder,
            root_password=b"other",
        )

    service = load(None)
    assert [one.name for one in service.former] == ["root", "fo"]
    assert all(one.retired for one in service.former)
    assert not any(root.online for root in service.roots())
    assert _issue(service, opened_csr, NOW_MS).issuer == rolled.issuing[Group.FO].certificate.subject
    assert service.issuing[Group.CSO].root == made.root.certificate
    assert service.issuing[Group.FO].root == rolled.root.certificate
    with pytest.raises(keys.KeyOffline):
        rollover.follow_issuing(service, Group.CSO, now_ms=NOW_MS)
    assert all(root.online for root in load(tmp_path / "safe").roots())
    (tmp_path / "safe" / "root.key.pem").unlink()  # the old root's key may be destroyed once its last list is signed
    assert [root.online for root in load(tmp_path / "safe").roots()] == [True, False]
    (tmp_path / "ca" / "fo-g2.crt.pem").rename(tmp_path / "ca" / "fo-g3.crt.pem")
    with pytest.raises(BadHierarchy):
        load(None)


def test_a_generation_has_a_key_of_its_own_and_a_root_with_time_left(made: Hierarchy) -> None:
    held = made.issuing[Group.FO]
    with pytest.raises(RollOverRefused) as caught:
        rollover.follow_issuing(made, Group.FO, now_ms=NOW_MS, signer=held.signer)
    assert caught.value.code == "pki/roll-over"
    with pytest.raises(RollOverRefused):
        rollover.follow_root(made, now_ms=NOW_MS, signer=made.root.signer)
    late_ms = path.not_after_ms(made.root.certificate) - profiles.DAY_MS
    with pytest.raises(RollOverRefused):
        rollover.follow_issuing(made, Group.FO, now_ms=late_ms)


def test_a_long_organisation_leaves_every_authority_its_own_name() -> None:
    made = Hierarchy.create(
        organisation="O" * 64, zone="flexledger.example", now_ms=NOW_MS, store=SqliteStore(), journal=MemoryJournal()
    )
    rolled, _ = rollover.follow_issuing(made, Group.FO, now_ms=NOW_MS)
    subjects = {one.certificate.subject.public_bytes() for one in rolled.authorities()}
    assert len(subjects) == 9
