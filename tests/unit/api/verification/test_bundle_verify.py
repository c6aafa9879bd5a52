"""A bundle built by the service verifies offline, and says what it could not look at."""

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from api.verification.bundle import open_bundle
from api.verification.bundle_format import Bundle
from api.verification.bundle_policy import Policy, encode_policy, parse_policy, policy_of
from api.verification.errors import BundleUnusable
from api.verification.report import Exit, Report, Status
from ledger.tlog.note import NoteSigner
from pki import ceremony
from tests.support import world as stage
from tests.support.bundles import Story, changed, codes, report_of


def checks(report: Report, status: Status = Status.VERIFIED) -> set[str]:
    return {line.check for line in report.of(status)}


def test_a_settled_request_verifies_in_every_step(story: Story) -> None:
    report = report_of(story.settled)
    assert report.exit_code == 0, report.of(Status.REFUTED) + report.of(Status.INDETERMINATE)
    assert checks(report) >= {
        "format",
        "anchors",
        "checkpoint",
        "inclusion",
        "streams",
        "completeness",
        "policy",
        "statement",
        "attachments",
        "person's statement",
        "credential check",
        "baseline",
        "samples",
        "meter values",
        "evidence grade",
        "service record",
        "proof of work",
        "settlement",
        "rules",
        "surplus",
    }
    assert not report.of(Status.ERASED)


def test_samples_that_no_station_signed_are_transport_only_and_said(story: Story) -> None:
    report = report_of(story.settled)
    found = [line for line in report.lines if line.check == "station signature"]
    assert [line.detail.partition(":")[0] for line in found] == ["transport only"] * 2
    grades = [line.detail for line in report.lines if line.check == "evidence grade"]
    assert grades.count("samples: trust TRANSPORT_AUTHENTICATED") == 2


def test_both_credential_checks_are_run_again_bit_for_bit(story: Story) -> None:
    lines = [line for line in report_of(story.settled).lines if line.check == "credential check"]
    assert [line.status for line in lines] == [Status.VERIFIED, Status.VERIFIED]
    assert all("bit for bit" in line.detail for line in lines)


def test_a_mandate_is_proven_by_its_directive(story: Story) -> None:
    report = report_of(story.mandatory)
    assert report.exit_code == 0
    assert "mandate" in checks(report)


def test_an_open_stream_is_undecided_and_said(story: Story) -> None:
    report = report_of(story.mandatory)
    (line,) = [line for line in report.lines if line.check == "completeness"]
    assert (line.status, line.code) == (Status.UNDECIDED, "verify/stream-open")


def test_conformity_claims_are_opened_where_the_service_discharges(story: Story) -> None:
    report = report_of(story.droop)
    assert report.exit_code == 0
    assert len([line for line in report.lines if line.check == "claim"]) == 2


def test_no_claim_is_in_a_bundle_that_needs_none(story: Story, settled: Bundle) -> None:
    assert not [line for line in report_of(story.settled).lines if line.check == "claim"]
    # A baseline, and for each of the two: a sample body, a meter's key, a person's certificate.
    assert len(settled.attachments) == 1 + 2 * 3


def test_rules_across_streams_are_undecided_and_named(story: Story) -> None:
    undecided = report_of(story.settled).of(Status.UNDECIDED)
    assert {"rules/double-selling", "rules/batch-reused"} <= {line.code for line in undecided}
    assert all("see audit" in line.detail for line in undecided)


def test_erasure_makes_what_rested_on_it_erased_and_nothing_else_fails(story: Story) -> None:
    report = report_of(story.erased)
    assert report.exit_code == 0, report.of(Status.REFUTED) + report.of(Status.INDETERMINATE)
    assert checks(report, Status.ERASED) == {
        "person's statement",
        "credential check",
        "samples",
        "station signature",
        "meter values",
        "service record",
        "proof of work",
    }
    # The other person's evidence still verifies.
    assert {"person's statement", "samples", "meter values", "service record"} <= checks(report)
    assert "erasures" in checks(report)


def test_a_person_whose_words_were_erased_is_undecided_for_the_rules(story: Story) -> None:
    lines = report_of(story.erased).of(Status.UNDECIDED)
    assert "rules/person-unproven" in {line.code for line in lines}


def test_nothing_of_an_erased_person_is_in_the_bundle(story: Story) -> None:
    before, after = open_bundle(story.settled), open_bundle(story.erased)
    assert len(after.disclosures) < len(before.disclosures)
    assert len(after.attachments) < len(before.attachments)
    assert after.erasures
    assert not before.erasures


def test_a_tombstone_of_another_person_is_no_part_of_a_bundle(story: Story) -> None:
    assert not open_bundle(story.mandatory).erasures


def test_without_a_policy_the_report_says_whose_anchors_it_believed(story: Story) -> None:
    (line,) = [line for line in report_of(story.settled).lines if line.check == "anchors"]
    assert "taken from the bundle itself" in line.detail
    assert "development" in line.detail


def test_the_policy_of_a_bundle_verifies_it(story: Story, settled: Bundle) -> None:
    policy = parse_policy(encode_policy(policy_of(settled)))
    report = report_of(story.settled, policy)
    assert report.exit_code == 0
    (line,) = [line for line in report.lines if line.check == "anchors"]
    assert "those of the policy" in line.detail


def test_another_log_key_in_the_policy_refutes(story: Story, settled: Bundle) -> None:
    other = NoteSigner.generate("log.example/world").vkey
    policy = msgspec.structs.replace(policy_of(settled), vkey=other)
    report = report_of(story.settled, policy)
    assert "api/anchor-mismatch" in codes(report)
    assert "checkpoint" in {line.check for line in report.of(Status.REFUTED)}


def test_development_roots_count_only_where_the_policy_says_so(story: Story, settled: Bundle) -> None:
    policy = msgspec.structs.replace(policy_of(settled), development=False)
    assert "pki/development-credential" in codes(report_of(story.settled, policy))


def test_roots_of_another_hierarchy_refute(story: Story, settled: Bundle) -> None:

    other = ceremony.perform(stage.SPEC, tls_now_ms=stage.MADE_AT_MS, signing_now_ms=stage.DAWN_MS - stage.HOUR_MS)
    roots = tuple(root.public_bytes(Encoding.PEM).decode() for root in other.anchors.certificates)
    policy = Policy(vkey=settled.anchors.vkey, roots=roots, development=True)
    report = report_of(story.settled, policy)
    assert "api/anchor-mismatch" in codes(report)
    assert report.outcome is Exit.REFUTED


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"vkey":"x","roots":[]}', b"x" * 300_000, b"\xff"])
def test_what_is_no_policy_is_unusable(data: bytes) -> None:
    with pytest.raises(BundleUnusable):
        parse_policy(data)


def test_a_policy_may_be_toml(settled: Bundle) -> None:
    policy = policy_of(settled)
    text = f'vkey = "{policy.vkey}"\ndevelopment = true\nroots = ["""\n{policy.roots[0]}"""]\n'
    assert parse_policy(text.encode(), toml=True).anchors().roots == policy.anchors().roots


def test_one_refuted_line_refutes_the_whole(story: Story) -> None:
    def other_body(value: dict[str, object]) -> None:
        value["fsr_id"] = "fsr-0000000000000000"

    report = report_of(changed(story.settled, other_body))
    assert report.outcome is Exit.REFUTED
    assert "verify/stream-missing" in codes(report)
