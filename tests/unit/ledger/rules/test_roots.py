"""A log's roots change by the word of a root that is in force, at a time to come, and in no other way."""

import msgspec
import pytest

from ledger.records.log import MAX_ROOTS, PolicyAdopted, RootAdopted, RootRetired
from ledger.rules.errors.log import RootUnvouched
from ledger.rules.fact import Evidence, VouchedRoot
from ledger.rules.rules_version import RULES_VERSION
from tests.support.rulebook import AURORA, NORTHGATE, SOUTHGATE, Judge, refused, site

DAY_MS = 86_400_000
FIRST = "0" * 64
STREAM = "log/policy"


def root(number: int) -> str:
    return f"{number:064x}"


def adopted(judge: Judge, number: int, *, by: str = FIRST, from_ms: int | None = None) -> RootAdopted:
    return RootAdopted(
        root=root(number),
        certificate="MIIB",
        by=by,
        from_ms=judge.now_ms + DAY_MS if from_ms is None else from_ms,
        signature="MEUC",
        own_signature="MEUC",
    )


def retired(judge: Judge, of: str, by: str, *, until_ms: int | None = None) -> RootRetired:
    until_ms = judge.now_ms + DAY_MS if until_ms is None else until_ms
    return RootRetired(root=of, by=by, until_ms=until_ms, signature="MEUC")


def vouched(what: RootAdopted | RootRetired) -> Evidence:
    """Somebody looked: the signatures are those of the roots that are named."""
    return Evidence(root=VouchedRoot(what.root, what.by))


def attempt(judge: Judge, what: RootAdopted | RootRetired) -> None:
    judge.try_it(what, NORTHGATE, STREAM, evidence=vouched(what))


def change(judge: Judge, what: RootAdopted | RootRetired, pol: int = 0) -> int:
    return judge.admit(what, NORTHGATE, STREAM, evidence=vouched(what), pol=pol).index


def test_a_root_counts_beside_the_one_that_vouched_for_it_until_one_of_them_is_ended() -> None:
    judge = Judge()
    index = change(judge, adopted(judge, 1))
    # From here on every entry names this change, so none of them can be shown without it.
    with refused("policy-other"):
        judge.try_it(site(), NORTHGATE, pol=0)
    judge.try_it(site(), NORTHGATE, pol=index)
    judge.now_ms += DAY_MS
    index = change(judge, retired(judge, FIRST, root(1)), pol=index)
    judge.try_it(site(), NORTHGATE, pol=index)
    lives = judge.state.anchors
    assert list(lives) == [FIRST, root(1)]
    assert (lives[FIRST].from_ms, lives[FIRST].until_ms) == (0, judge.now_ms + DAY_MS)
    assert (lives[root(1)].from_ms, lives[root(1)].until_ms, lives[root(1)].by) == (judge.now_ms, None, FIRST)
    assert lives[FIRST].is_in_force(judge.now_ms + DAY_MS - 1)
    assert not lives[FIRST].is_in_force(judge.now_ms + DAY_MS)


@pytest.mark.parametrize("scope", ["log", "stream"])
def test_without_the_signatures_of_the_roots_that_are_named_nothing_changes(scope: str) -> None:
    judge = Judge(scope)
    if scope == "stream":
        judge.admit(PolicyAdopted(anchors=(FIRST,), rules=RULES_VERSION), NORTHGATE, STREAM)
    what = adopted(judge, 1)
    for evidence in (
        Evidence(),
        Evidence(root=VouchedRoot(what.root, root(2))),
        Evidence(root=VouchedRoot(root(2), what.by)),
    ):
        with refused("root-unvouched"):
            judge.try_it(what, NORTHGATE, STREAM, evidence=evidence)
    attempt(judge, what)


def test_where_no_certificate_is_at_hand_it_is_undecided_and_not_passed() -> None:
    judge = Judge()
    made = judge.fact(adopted(judge, 1), NORTHGATE, STREAM, evidence=None)
    assert RootUnvouched.code in {code for code, _ in judge.state.undecidable(made)}


def test_a_later_policy_changes_no_root_and_makes_no_log_a_development_log() -> None:
    judge = Judge()
    for what in (
        PolicyAdopted(anchors=(root(1),), rules=RULES_VERSION),
        PolicyAdopted(anchors=(FIRST, root(1)), rules=RULES_VERSION),
        PolicyAdopted(anchors=(FIRST,), rules=RULES_VERSION, development=True),
    ):
        with refused("root-unvouched"):
            judge.try_it(what, NORTHGATE, STREAM)
    judge.try_it(PolicyAdopted(anchors=(FIRST,), rules=RULES_VERSION), NORTHGATE, STREAM)


def test_only_a_root_in_force_vouches_and_only_for_one_that_is_new() -> None:
    judge = Judge()
    for what in (adopted(judge, 1, by=root(9)), adopted(judge, 0), adopted(judge, 1, by=root(1))):
        with refused("root-unfit"):
            attempt(judge, what)
    index = change(judge, adopted(judge, 1))
    with refused("root-unfit"):  # said twice
        judge.try_it(adopted(judge, 1), NORTHGATE, STREAM, evidence=vouched(adopted(judge, 1)), pol=index)
    early = adopted(judge, 2, by=root(1))
    with refused("root-unfit"):  # it does not count yet
        judge.try_it(early, NORTHGATE, STREAM, evidence=vouched(early), pol=index)
    judge.now_ms += DAY_MS
    index = change(judge, retired(judge, FIRST, root(1)), pol=index)
    judge.now_ms += DAY_MS
    late = adopted(judge, 2)
    with refused("root-unfit"):  # whoever stole the key of a root that has ended vouches for nobody
        judge.try_it(late, NORTHGATE, STREAM, evidence=vouched(late), pol=index)
    change(judge, adopted(judge, 2, by=root(1)), pol=index)


def test_a_root_is_ended_once_by_another_one_that_stays() -> None:
    judge = Judge()
    for what in (retired(judge, FIRST, FIRST), retired(judge, root(1), FIRST), retired(judge, FIRST, root(1))):
        with refused("root-unfit"):
            attempt(judge, what)
    index = change(judge, adopted(judge, 1))
    early = retired(judge, FIRST, root(1))
    with refused("root-unfit"):  # it does not count yet
        judge.try_it(early, NORTHGATE, STREAM, evidence=vouched(early), pol=index)
    judge.now_ms += DAY_MS
    index = change(judge, retired(judge, FIRST, root(1)), pol=index)
    for what in (retired(judge, FIRST, root(1)), retired(judge, root(1), FIRST)):
        with refused("root-unfit"):  # once; and no log is left without a root
            judge.try_it(what, NORTHGATE, STREAM, evidence=vouched(what), pol=index)


def test_a_root_that_was_announced_in_error_is_ended_before_it_begins() -> None:
    judge = Judge()
    index = change(judge, adopted(judge, 1))
    change(judge, retired(judge, root(1), FIRST), pol=index)
    assert not any(judge.state.anchors[root(1)].is_in_force(judge.now_ms + ahead) for ahead in (0, DAY_MS, 2 * DAY_MS))


def test_roots_change_at_a_time_to_come_within_a_year() -> None:
    judge = Judge()
    for from_ms in (0, judge.now_ms - 1, judge.now_ms, judge.now_ms + 366 * DAY_MS + 1):
        with refused("root-times"):
            attempt(judge, adopted(judge, 1, from_ms=from_ms))
    attempt(judge, adopted(judge, 1, from_ms=judge.now_ms + 366 * DAY_MS))
    index = change(judge, adopted(judge, 1, from_ms=judge.now_ms + 1))
    judge.now_ms += 1
    for until_ms in (judge.now_ms, judge.now_ms + 366 * DAY_MS + 1):
        what = retired(judge, FIRST, root(1), until_ms=until_ms)
        with refused("root-times"):
            judge.try_it(what, NORTHGATE, STREAM, evidence=vouched(what), pol=index)


def test_a_log_has_a_bounded_number_of_roots() -> None:
    judge = Judge()
    index = 0
    for number in range(1, MAX_ROOTS):
        index = change(judge, adopted(judge, number), pol=index)
    one_more = adopted(judge, MAX_ROOTS)
    with refused("root-unfit"):
        judge.try_it(one_more, NORTHGATE, STREAM, evidence=vouched(one_more), pol=index)


def test_only_the_keeper_of_a_log_writes_down_a_change_of_roots_and_in_one_stream() -> None:
    judge = Judge()
    what = adopted(judge, 1)
    with refused("wrong-party"):
        judge.try_it(what, SOUTHGATE, STREAM, evidence=vouched(what))
    with refused("writer-role"):
        judge.try_it(what, AURORA, STREAM, evidence=vouched(what))
    for record in (what, retired(judge, FIRST, root(1)), PolicyAdopted(anchors=(FIRST,), rules=RULES_VERSION)):
        with refused("not-in-stream"):
            judge.try_it(record, NORTHGATE, "log/elsewhere", evidence=Evidence(root=VouchedRoot(what.root, what.by)))


def test_what_no_rule_admits_is_folded_by_an_auditor_and_ends_no_root_twice() -> None:
    judge = Judge()
    change(judge, adopted(judge, 1))
    judge.now_ms += DAY_MS
    for ahead in (1, 2):
        what = retired(judge, FIRST, root(1), until_ms=judge.now_ms + ahead * DAY_MS)
        judge.fold(judge.fact(what, NORTHGATE, STREAM))
    again = msgspec.structs.replace(adopted(judge, 1), from_ms=judge.now_ms + 5 * DAY_MS)
    judge.fold(judge.fact(again, NORTHGATE, STREAM))
    assert judge.state.anchors[FIRST].until_ms == judge.now_ms + DAY_MS
    assert judge.state.anchors[root(1)].from_ms == judge.now_ms
