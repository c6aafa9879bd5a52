"""One stream alone: what it decides, what it leaves undecided and says so; and that every rule has a test."""

import copy
from pathlib import Path

import pytest

from ledger.records.opt import Choice, OptActor
from ledger.rules.errors.violated import RuleViolated
from ledger.rules.request_state import RequestStatus
from ledger.rules.state import LogState
from ledger.rules.undecided import SCOPE, TAGS
from tests.support import rules_reference
from tests.support.rulebook import (
    AURORA,
    EVSES,
    NORTHGATE,
    Judge,
    answer,
    at,
    baseline,
    contract,
    decided,
    noted,
    pids,
    proven,
    refused,
    samples,
    tags,
)


def _stream(judge: Judge, name: str = "fsr/fsr-1") -> LogState:
    """The entries of one stream, judged alone and without tags, as an offline reader would."""
    state = LogState("stream")
    for fact in judge.facts:
        if fact.entry.stream == name:
            alone = type(fact)(fact.index, fact.entry, fact.statement, fact.actor, fact.now_ms, {}, fact.evidence)
            state.check(alone)
            state.apply(alone)
    return state


def test_one_request_s_stream_is_judged_alone_and_says_what_it_cannot_decide() -> None:
    judge = Judge()
    judge.ended()
    judge.admit(proven(), NORTHGATE)
    assert judge.state.scope == "log"
    assert judge.state.undecided == ()
    alone = _stream(judge)
    assert alone.scope == "stream"
    assert alone.request("fsr-1").status(judge.now_ms) is RequestStatus.PROVEN
    assert {one.why for one in alone.undecided} == {SCOPE}
    codes = {one.code for one in alone.undecided}
    assert {
        "rules/contract-not-in-force",
        "rules/double-selling",
        "rules/batch-reused",
        "rules/site-unknown",
        "rules/wrong-party",
        "rules/baseline-method",
    } <= codes
    batches = next(one for one in alone.undecided if one.code == "rules/batch-reused")
    assert (batches.count, batches.first < batches.last) == (3, True)


def test_a_contract_s_and_a_site_s_stream_are_judged_alone_too() -> None:
    judge = Judge()
    judge.ready()
    contract = _stream(judge, "fsc/fsc-1")
    assert contract.contract("fsc-1").status(at("12:00")) == "ACTIVE"
    assert _stream(judge, "site/DEPOT-7").site("DEPOT-7").cso == "northgate"


def test_what_one_stream_decides_it_decides_as_the_log_does() -> None:
    judge = Judge("stream")
    for fact in _played().facts:
        if fact.entry.stream == "fsr/fsr-1":
            judge.fold(fact)
    judge.now_ms = at("16:30")
    with refused("opt-late"):
        judge.try_it(decided("p-1", Choice.OUT, OptActor.CSO), NORTHGATE)
    with refused("baseline-missing"):
        judge.try_it(noted("p-1", "DISPATCHED"), NORTHGATE)  # type: ignore[arg-type]


def _played() -> Judge:
    judge = Judge()
    judge.accepted()
    return judge


def test_without_tags_double_selling_is_undecided_and_says_so() -> None:
    judge = Judge()
    judge.ready()
    bare = judge.fact(answer(), NORTHGATE, tags={}, evidence=None)
    assert judge.state.undecidable(bare) == (("rules/double-selling", TAGS), ("rules/baseline-shared", TAGS))
    judge.state.check(bare)
    some = judge.fact(answer(), NORTHGATE, tags={"p-1": tags(1)["p-1"]}, evidence=None)
    assert judge.state.undecidable(some) == (("rules/double-selling", TAGS), ("rules/baseline-shared", TAGS))
    whole = judge.fact(answer(), NORTHGATE, tags=tags(2))
    assert judge.state.undecidable(whole) == ()


def test_who_takes_statements_in_refuses_what_hides_from_comparison() -> None:
    judge = Judge()
    judge.ended()
    with refused("not-disclosed"):
        judge.try_it(samples("p-1", 2), NORTHGATE, tags={})
    with refused("not-disclosed"):
        judge.try_it(contract("fsc-2", evse_ids=EVSES[:1]), AURORA)
    judge = Judge()
    judge.ready()
    for known in ({}, {"p-1": tags(1)["p-1"]}):
        with refused("not-disclosed"):
            judge.try_it(answer(), NORTHGATE, tags=known)


def test_a_judge_that_is_asked_forgets_the_question() -> None:
    judge = _played()
    judge.now_ms = at("15:12")
    before = copy.deepcopy(judge.state)
    judge.try_it(baseline(pids(2)), NORTHGATE)
    with refused("baseline-participants"):
        judge.try_it(baseline(("p-1",)), NORTHGATE)
    assert judge.state.request("fsr-1") == before.request("fsr-1")


def test_folding_goes_on_past_an_entry_that_a_rule_refuses() -> None:
    judge = Judge()
    for what in (answer("fsr-9"), decided("p-1", fsr_id="fsr-9"), noted("p-1", "STARTED", "fsr-9"), proven()):  # type: ignore[arg-type]
        made = judge.fact(what, NORTHGATE)
        with pytest.raises(RuleViolated):
            judge.state.check(made)
        judge.fold(made)
    judge.ready()
    assert judge.state.request("fsr-1").status(at("15:01")) is RequestStatus.ISSUED


def test_every_rule_has_a_number_of_its_own_and_a_code_and_a_source() -> None:
    rules = rules_reference.rules()
    assert len({rule.number for rule in rules}) == len({rule.code for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.number.startswith("R-")
        assert rule.code.startswith("rules/")
        assert rule.source


@pytest.mark.parametrize("rule", rules_reference.rules(), ids=lambda rule: rule.code)
def test_every_rule_is_shown_refusing(rule: type[RuleViolated]) -> None:
    here = Path(__file__).parent
    text = "".join(path.read_text(encoding="utf-8") for path in here.glob("test_*.py"))
    name = rule.code.removeprefix("rules/")
    assert f'refused("{name}")' in text or f'"{name}"),' in text
