"""An attacker joins two exports. Provable ones join, as documented; unlinkable ones do not beat one in k."""

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import msgspec

from ledger.privacy.exports.generalise import Places, generalise
from ledger.privacy.exports.policies import load
from ledger.privacy.exports.policy import Column, Hierarchy, UnlinkablePolicy
from tests.support.crowd import Fact, Shown, anonymised

PERSONS: Final = 400
SITES: Final = 24
DAY_MS: Final = 86_400_000
BEGIN_MS: Final = 1_793_500_000_000
PLACES: Final[Places] = {f"E{n}": (f"site-{n}", f"point-{n % 4}", "FI") for n in range(SITES)}
SEED: Final = 63_382


Release = tuple[UnlinkablePolicy, Shown]


def sessions() -> list[Fact]:
    """A month of charging: everybody has one site, habits of energy, and some days (a model, not measured data)."""
    dice = random.Random(SEED)
    facts: list[Fact] = []
    for number in range(PERSONS):
        home, habit_wh = f"E{dice.randrange(SITES)}", dice.choice((6_000, 11_000, 18_000, 30_000))
        for _ in range(dice.randint(2, 6)):
            day = BEGIN_MS + dice.randrange(28) * DAY_MS
            values = {
                "recorded": day + dice.randrange(DAY_MS),
                "place": home,
                "energy": max(0, round(dice.gauss(habit_wh, 2_500))),
            }
            facts.append((number.to_bytes(16, "big"), values))
    return facts


def released(facts: Sequence[Fact], name: str, **changes: Any) -> Release:
    """What leaves under a policy of the package, changed as said."""
    policy = load()[name].policy
    assert isinstance(policy, UnlinkablePolicy)
    policy = msgspec.structs.replace(policy, **changes)
    return policy, anonymised(facts, policy, PLACES)


def shown(fact: Fact, policy: UnlinkablePolicy, found: Shown, *, with_sensitive: bool) -> tuple[Any, ...]:
    """How a fact looks in a release."""
    return tuple(
        generalise(fact[1].get(column.name), column.hierarchy, found.levels[column.name], PLACES)
        for column in policy.columns
        if with_sensitive or column.name != policy.sensitive
    )


def chance(facts: Sequence[Fact], policy: UnlinkablePolicy, found: Shown) -> Fraction:
    """The best chance of whoever knows one session of a person exactly to pick that person's group's owner."""
    groups: dict[tuple[Any, ...], set[bytes]] = {}
    for fact in facts:
        groups.setdefault(shown(fact, policy, found, with_sensitive=False), set()).add(fact[0])
    left = {
        tuple(row[column.name] for column in policy.columns if column.name != policy.sensitive) for row in found.rows
    }
    return max(Fraction(1, len(groups[one])) for one in left)


def test_who_knows_a_session_exactly_is_right_about_its_owner_one_time_in_k_at_most() -> None:
    facts = sessions()
    for k in (5, 10, 25):
        policy, found = released(facts, "grid-planning", k=k)
        assert found.rows
        assert chance(facts, policy, found) <= Fraction(1, k)


def joined(facts: Sequence[Fact], one: Release, other: Release) -> Fraction:
    """How often the attacker is right: for each row of the one, a row of the other that can be the same person's.

    Any row of the other can be, whose every column overlaps; the attacker has no better reason to take one of them.
    """
    spans = [{tuple(row.values()) for row in found.rows} for _, found in (one, other)]
    behind = [{shape: [] for shape in shapes} for shapes in spans]
    overlaps: dict[tuple[Any, ...], set[tuple[Any, ...]]] = {shape: set() for shape in spans[0]}
    for fact in facts:
        shapes = [shown(fact, *release, with_sensitive=True) for release in (one, other)]
        for shape, shapes_behind in zip(shapes, behind, strict=True):
            if shape in shapes_behind:
                shapes_behind[shape].append(fact[0])
        if shapes[0] in overlaps and shapes[1] in spans[1]:
            overlaps[shapes[0]].add(shapes[1])
    right, rows = Fraction(0), 0
    for shape, owners in behind[0].items():
        candidates = [owner for each in overlaps[shape] for owner in behind[1][each]]
        for owner in owners:
            rows += 1
            right += Fraction(candidates.count(owner), len(candidates)) if candidates else 0
    assert rows > PERSONS
    return right / rows


def test_two_unlinkable_releases_join_no_better_than_one_in_k() -> None:
    """Two recipients with different k: whoever has both picks, for a row of one, the same person's row of the other."""
    facts = sessions()
    one, other = released(facts, "grid-planning", k=10), released(facts, "grid-planning", k=25)
    assert joined(facts, one, other) <= Fraction(1, 10), float(joined(facts, one, other))
    assert joined(facts, other, one) <= Fraction(1, 10), float(joined(facts, other, one))


def test_a_column_that_k_does_not_count_joins_two_releases() -> None:
    """Why no policy of the package has a `sensitive` column: in bands of 1 kWh it is as good as a name."""
    facts = sessions()
    exact = Column(name="energy", path="energy", hierarchy=Hierarchy.EXACT)
    columns = (*released(facts, "grid-planning")[0].columns[:2], exact)
    one = released(facts, "grid-planning", k=10, columns=columns, sensitive="energy", l=2)
    other = released(facts, "grid-planning", k=25, columns=columns, sensitive="energy", l=2)
    assert joined(facts, one, other) > Fraction(1, 2)
    for name, file in load().items():
        assert getattr(file.policy, "sensitive", None) is None, name


def test_the_same_rows_under_pseudonyms_of_a_month_would_join() -> None:
    """Why a pseudonym holds for one transaction: coarse rows of one person, taken together, are a fingerprint."""
    facts = sessions()
    policy, found = released(facts, "grid-planning", k=10)
    traces: dict[bytes, list[tuple[Any, ...]]] = {}
    for fact in facts:
        traces.setdefault(fact[0], []).append(shown(fact, policy, found, with_sensitive=True))
    prints = [tuple(sorted(map(str, trace))) for trace in traces.values()]
    unique = sum(prints.count(one) == 1 for one in prints)
    assert unique > PERSONS // 4


def keys_of(policy: UnlinkablePolicy, found: Shown) -> set[tuple[Any, ...]]:
    """The groups that left."""
    return {
        tuple(row[column.name] for column in policy.columns if column.name != policy.sensitive) for row in found.rows
    }
