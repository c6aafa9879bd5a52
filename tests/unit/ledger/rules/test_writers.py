"""Who may write what, and in which stream."""

from itertools import product

import msgspec
import pytest

from ledger.records import registry
from ledger.records.actor import Role
from ledger.records.execution import ExecutionKind
from ledger.records.log import PolicyAdopted, StreamClosed, TimeStamped
from ledger.records.log import Refused as RefusedRecord
from ledger.records.privacy import RestrictionSet
from ledger.records.requests import RequestCancelled
from ledger.records.work import CounterResult, WorkCountered
from ledger.rules import writers
from ledger.rules.errors.absent import ContractAbsent, RequestAbsent, SiteAbsent
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.rules_version import RULES_VERSION
from ledger.rules.state import RULES, LogState
from ledger.rules.streams import ID_FIELD, stream_of
from ledger.rules.writers import WRITERS
from tests.support.rulebook import (
    AMPERE,
    AUDITOR,
    AURORA,
    BOREALIS,
    DRIVER,
    GRID,
    NORTHGATE,
    SOUTHGATE,
    VOLTWISE,
    Judge,
    actor,
    answer,
    check,
    contract,
    decided,
    directive,
    noted,
    proven,
    refused,
    request,
    site,
)

RESTRICTION = RestrictionSet(handle="0" * 32, ground="OBJECTION_PENDING")  # type: ignore[arg-type]


def test_every_record_type_has_a_row_of_writers_and_no_row_is_left_over() -> None:
    assert set(WRITERS) == set(registry.kinds())


def test_every_rule_belongs_to_a_registered_record() -> None:
    assert set(RULES) <= set(registry.kinds())


def test_no_person_system_operator_conformity_body_or_station_writes_anything() -> None:
    for roles in WRITERS.values():
        assert roles.isdisjoint({Role.EVU, Role.SO, Role.CB, Role.STATION})


def test_what_is_let_through_at_a_glance_is_exactly_what_no_refusal_meets() -> None:
    for asked in product(registry.kinds(), Role, Role):
        try:
            writers._require(*asked)
        except RuleViolated:
            assert asked not in writers._ADMITTED
        else:
            assert asked in writers._ADMITTED


@pytest.mark.parametrize("role", [Role.SO, Role.CB, Role.STATION, Role.AUD, Role.DPO, Role.CSO, Role.CSP])
def test_a_request_of_another_role_than_fo_is_refused(role: Role) -> None:
    judge = Judge()
    with refused("writer-role"):
        judge.try_it(request(), actor("somebody", role))


def test_a_cso_that_signs_as_fo_is_refused_and_an_fo_that_executes_too() -> None:
    judge = Judge()
    judge.ready()
    with refused("writer-role"):
        judge.try_it(RequestCancelled(fsr_id="fsr-1", reason="SAFETY"), NORTHGATE)  # type: ignore[arg-type]
    with refused("writer-role"):
        judge.try_it(noted("p-1", ExecutionKind.STARTED), AURORA)


def test_a_person_stands_in_the_log_neither_as_writer_nor_as_submitter() -> None:
    judge = Judge()
    judge.ready()
    with refused("person-in-log"):
        judge.try_it(decided("p-1"), DRIVER)
    with refused("person-in-log"):
        judge.try_it(decided("p-1"), NORTHGATE, submitter=DRIVER)


def test_an_fo_may_not_opt() -> None:
    judge = Judge()
    judge.ready()
    with refused("fo-may-not-opt"):
        judge.try_it(decided("p-1"), AURORA)


def test_a_directive_is_never_an_entry() -> None:
    with refused("never-an-entry"):
        Judge().try_it(directive(), GRID, "directive/dir-1")


def test_a_record_stands_in_the_stream_of_its_id_only() -> None:
    judge = Judge()
    judge.site()
    judge.contract()
    with refused("not-in-stream"):
        judge.try_it(request("fsr-1"), AURORA, "fsr/fsr-2")
    judge.try_it(request("fsr-1"), AURORA, "fsr/fsr-1")


def test_an_entry_that_names_another_stream_or_type_than_its_statement_is_refused() -> None:
    judge = Judge()
    made = judge.fact(site(), NORTHGATE)
    for changes in ({"stream": "site/other"}, {"type": "fsr.issued"}, {"v": 2}):
        entry = msgspec.structs.replace(made.entry, **changes)  # type: ignore[arg-type]
        other = type(made)(made.index, entry, made.statement, made.actor, made.now_ms, made.tags, made.evidence)
        with refused("not-in-stream"):
            judge.state.check(other)


def test_every_kind_of_stream_with_an_id_finds_it_in_its_records() -> None:
    for kind in registry.kinds():
        field = ID_FIELD.get(kind.STREAM)
        if field is not None:
            assert field in kind.__struct_fields__, kind.TYPE
    assert stream_of(request("fsr-1")) == "fsr/fsr-1"
    assert stream_of(RESTRICTION) is None


def test_a_party_in_a_body_must_be_the_writer_or_have_delegated() -> None:
    judge = Judge()
    judge.site()
    with refused("wrong-party"):
        judge.try_it(contract(), BOREALIS)
    judge.try_it(contract(), actor("desk", Role.FO, delegated_by="aurora"))
    judge.contract()
    with refused("wrong-party"):
        judge.try_it(request(), BOREALIS)


def test_only_the_port_of_the_request_checks_answers_and_executes() -> None:
    judge = Judge()
    judge.ready()
    for stranger in (SOUTHGATE, AMPERE):
        with refused("wrong-party"):
            judge.try_it(check("chk-9", now_ms=judge.now_ms, names=("p-1",)), stranger)
        with refused("wrong-party"):
            judge.try_it(answer(), stranger)


def test_a_csp_of_one_of_the_contracts_is_a_port() -> None:
    judge = Judge()
    judge.site()
    judge.contract("fsc-1", by=VOLTWISE)
    judge.request()
    judge.admit(check(now_ms=judge.now_ms, names=("p-1",)), VOLTWISE)
    with refused("wrong-party"):
        judge.try_it(check("chk-2", now_ms=judge.now_ms, names=("p-1",)), AMPERE)


def test_the_log_s_own_records_come_from_the_party_that_keeps_it_or_its_officers() -> None:
    judge = Judge()
    judge.admit(RESTRICTION, NORTHGATE, "privacy/r-1")
    judge.admit(RESTRICTION, actor("officer", Role.DPO), "privacy/r-2")
    with refused("wrong-party"):
        judge.try_it(RESTRICTION, SOUTHGATE, "privacy/r-3")
    refusal = RefusedRecord(
        code="rules/opt-late",
        refused_type="opt.decided",
        statement="0" * 64,
        refused_jti="j" * 20,
        role=Role.EVU,
        participation="p-1",
    )
    with refused("wrong-party"):
        judge.try_it(refusal, VOLTWISE, "fsr/fsr-1")
    with refused("writer-role"):
        judge.try_it(refusal, AURORA, "fsr/fsr-1")


def test_a_log_begins_with_a_policy_and_entries_name_the_one_in_force() -> None:
    judge = Judge(policy=False)
    with refused("policy-missing"):
        judge.try_it(site(), NORTHGATE)
    judge.admit(PolicyAdopted(anchors=("0" * 64,), rules=RULES_VERSION), NORTHGATE, "log/policy")
    with refused("policy-other"):
        judge.try_it(site(), NORTHGATE, pol=7)
    judge.admit(PolicyAdopted(anchors=("0" * 64,), rules=RULES_VERSION), NORTHGATE, "log/policy")
    with refused("policy-other"):
        judge.try_it(site(), NORTHGATE, pol=0)
    judge.admit(site(), NORTHGATE, pol=1)


def test_a_policy_with_rules_that_nobody_here_knows_is_refused() -> None:
    judge = Judge()
    with refused("rules-unknown"):
        judge.try_it(PolicyAdopted(anchors=("0" * 64,), rules="rules/999"), NORTHGATE, "log/policy")


def test_a_closed_stream_stays_closed_and_its_count_is_right() -> None:
    judge = Judge()
    judge.ready()
    with refused("stream-count"):
        judge.try_it(StreamClosed(closed="fsr/fsr-1", n=3), NORTHGATE, "fsr/fsr-1")
    with refused("stream-count"):
        judge.try_it(StreamClosed(closed="fsr/fsr-2", n=2), NORTHGATE, "fsr/fsr-1")
    judge.admit(StreamClosed(closed="fsr/fsr-1", n=2), NORTHGATE, "fsr/fsr-1")
    with refused("stream-closed"):
        judge.try_it(answer(), NORTHGATE)
    with refused("stream-closed"):
        judge.try_it(StreamClosed(closed="fsr/fsr-1", n=3), NORTHGATE, "fsr/fsr-1")


def test_a_request_that_was_never_issued_has_no_history() -> None:
    judge = Judge()
    counter = WorkCountered(fsr_id="fsr-9", pow_id="pow-1", result=CounterResult.AGREED)
    for what, by in ((answer("fsr-9"), NORTHGATE), (counter, AURORA), (proven(fsr_id="fsr-9"), NORTHGATE)):
        with refused("wrong-order"):
            judge.try_it(what, by)


def test_what_is_not_on_record_is_absent() -> None:
    state = LogState()
    with pytest.raises(RequestAbsent, match="fsr-1"):
        state.request("fsr-1")
    with pytest.raises(ContractAbsent):
        state.contract("fsc-1")
    with pytest.raises(SiteAbsent):
        state.site("DEPOT-7")
    assert state.query("q-1") is None
    assert (tuple(state.requests()), state.contracts(), state.sites()) == ((), (), ())


def test_an_auditor_writes_nothing_but_findings() -> None:
    judge = Judge()
    judge.ready()
    with refused("writer-role"):
        judge.try_it(answer(), AUDITOR)


def test_a_time_stamp_is_of_a_tree_that_stood_before_the_entry_that_says_so() -> None:
    judge = Judge()
    index = len(judge.facts)
    judge.try_it(TimeStamped(size=index, token_sha256="0" * 64), NORTHGATE, "log/stamps")
    with refused("stamp-ahead"):
        judge.try_it(TimeStamped(size=index + 1, token_sha256="0" * 64), NORTHGATE, "log/stamps")
