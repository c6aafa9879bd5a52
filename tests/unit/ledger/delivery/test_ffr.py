import pytest

from ledger.delivery.errors import WorkRefused
from ledger.delivery.samples import Sample, Status
from ledger.delivery.verdicts import ffr
from ledger.delivery.verdicts.ffr import Scoring, Terms
from ledger.delivery.verdicts.outcome import Direction, Score, Verdict
from ledger.delivery.verdicts.traces import Trace

START = 1_768_928_400_000
T0 = START + 10_000


def terms(**changes: object) -> Terms:
    given: dict[str, object] = {"trigger_millihertz": 49_600, "t_full_ms": 1_000, "support_ms": 30_000}
    return Terms(**(given | changes))  # type: ignore[arg-type]


def block(
    delivered_w: int, *, seconds: int = 60, release_ms: int = 6_000, step_ms: int = 100, frequency: int = 49_500
) -> list[Sample]:
    """10 kW until t0, then `delivered_w` less from 0.5 s on, released linearly after 34 s."""
    found = []
    for at in range(0, seconds * 1_000, step_ms):
        since = at - 10_000
        share = 0 if since < 500 else max(0, min(1_000, 1_000 - (since - 34_000) * 1_000 // release_ms))
        found.append(
            Sample(
                START + at,
                10_000 - delivered_w * share // 1_000,
                50_000 if since < 0 else frequency,
                0,
                0,
                at // step_ms % 65_536,
            )
        )
    return found


def score(
    powers: dict[str, list[Sample]], given: Terms, *, capacity_w: int = 30_000, frequency: list[Sample] | None = None
) -> Score:
    traces = {name: (Trace(series, given.max_hold_ms), capacity_w) for name, series in powers.items()}
    channel = Trace(frequency if frequency is not None else next(iter(powers.values())), given.max_hold_ms)
    return ffr.score(start_at_ms=START, end_at_ms=START + 60_000, frequency=channel, resources=traces, terms=given)


def two(first_w: int, second_w: int) -> dict[str, list[Sample]]:
    return {"E1": block(first_w), "E2": block(second_w)}


def test_66_watts_short_is_decided_by_the_contracts_tolerance() -> None:
    short = two(30_000, 29_934)
    strict = score(short, terms())
    assert (strict.figures["at_full_w"], strict.verdict, strict.score_ppm) == (59_934, Verdict.FAILED, 998_900)
    assert score(short, terms(tolerance_ppm=1_099)).verdict is Verdict.FAILED
    assert score(short, terms(tolerance_ppm=1_100)).verdict is Verdict.DELIVERED


def test_t0_is_the_first_sample_strictly_below_the_trigger() -> None:
    assert score(two(30_000, 30_000), terms()).figures["t0_at_ms"] == T0
    at_the_trigger = {"E1": block(30_000, frequency=49_600)}
    assert score(at_the_trigger, terms()).verdict is Verdict.INFORMATIVE


def test_the_group_may_stand_in_for_a_weak_resource_and_alone_it_fails() -> None:
    uneven = two(34_000, 26_000)
    assert score(uneven, terms()).verdict is Verdict.DELIVERED
    alone = score(uneven, terms(scoring=Scoring.PER_RESOURCE))
    assert alone.verdict is Verdict.PARTIAL
    assert (alone.parts["E1"]["passed"], alone.parts["E2"]["passed"]) == (1, 0)
    assert score(two(1_000, 1_000), terms(scoring=Scoring.PER_RESOURCE)).verdict is Verdict.FAILED
    assert score(two(30_000, 30_000), terms(scoring=Scoring.PER_RESOURCE)).verdict is Verdict.DELIVERED


def test_a_release_steeper_than_the_cap_fails() -> None:
    steep = {"E1": block(30_000, release_ms=4_000)}
    result = score(steep, terms())
    assert result.figures["release_ppm_per_s"] == 250_000
    assert result.verdict is Verdict.FAILED
    assert score(steep, terms(max_release_ppm_per_s=250_000)).verdict is Verdict.DELIVERED


def test_the_release_is_seen_whatever_the_rhythm_of_the_samples() -> None:
    odd = {"E1": block(30_000, release_ms=4_000, step_ms=70)}
    result = score(odd, terms())
    assert result.figures["release_ppm_per_s"] >= 240_000
    assert result.verdict is Verdict.FAILED


def test_too_much_is_as_wrong_as_too_little() -> None:
    much = {"E1": block(40_501, release_ms=9_000)}
    assert score(much, terms()).figures["over_ppm"] == 350_034
    assert score(much, terms()).verdict is Verdict.FAILED
    assert score({"E1": block(40_500, release_ms=9_000)}, terms()).verdict is Verdict.DELIVERED


def test_a_dip_in_the_support_window_fails_and_after_it_does_not() -> None:
    def dipped(at_ms: int) -> list[Sample]:
        return [s._replace(power_w=s.power_w + 5_000) if s.t_ms == T0 + at_ms else s for s in block(30_000)]

    assert score({"E1": dipped(31_000)}, terms()).verdict is Verdict.FAILED
    assert score({"E1": dipped(900)}, terms()).verdict is Verdict.DELIVERED
    assert score({"E1": dipped(31_100)}, terms()).figures["min_support_w"] == 30_000


def test_down_is_the_mirror_of_up() -> None:
    mirrored = [s._replace(power_w=-s.power_w, freq_millihertz=100_000 - s.freq_millihertz) for s in block(30_000)]
    result = score({"E1": mirrored}, terms(direction=Direction.DOWN, trigger_millihertz=50_400))
    assert (result.verdict, result.figures["at_full_w"]) == (Verdict.DELIVERED, 30_000)


@pytest.mark.parametrize("missing_ms", [T0 - 5_000, T0 + 1_000, T0 + 20_000, T0 + 38_000])
def test_a_missing_second_of_a_resource_is_unprovable_not_failed(missing_ms: int) -> None:
    whole = block(30_000)
    holed = [sample for sample in whole if not missing_ms - 500 <= sample.t_ms < missing_ms + 500]
    result = score({"E1": whole, "E2": holed}, terms())
    assert result.verdict is Verdict.UNPROVABLE


def test_an_unsynchronised_clock_is_unprovable() -> None:
    wrong = [s._replace(status=int(Status.CLOCK_UNSYNCHRONISED)) for s in block(30_000)]
    assert score({"E1": block(30_000), "E2": wrong}, terms()).verdict is Verdict.UNPROVABLE


def test_a_quiet_frequency_owes_nothing_and_an_unwatched_one_is_unprovable() -> None:
    quiet = block(0, frequency=50_000)
    assert score({"E1": quiet}, terms()).verdict is Verdict.INFORMATIVE
    assert score({"E1": quiet}, terms(), frequency=[]).verdict is Verdict.UNPROVABLE
    assert score({"E1": quiet}, terms(), frequency=quiet[:200] + quiet[230:]).verdict is Verdict.UNPROVABLE
    blind = [sample._replace(freq_millihertz=0) for sample in quiet]
    assert score({"E1": blind}, terms()).verdict is Verdict.UNPROVABLE


def test_a_gap_before_the_trigger_could_hide_an_earlier_one() -> None:
    hidden = block(30_000)
    frequency = hidden[:20] + hidden[60:]
    assert score({"E1": hidden}, terms(), frequency=frequency).verdict is Verdict.UNPROVABLE


def test_a_gap_in_the_frequency_after_the_trigger_is_unprovable() -> None:
    whole = block(30_000)
    result = score({"E1": whole}, terms(), frequency=whole[:200] + whole[205:])
    assert (result.verdict, result.figures) == (Verdict.UNPROVABLE, {"t0_at_ms": T0})


def test_a_trigger_at_the_windows_first_instant_counts() -> None:
    trace = Trace(block(30_000), 200)
    result = ffr.score(
        start_at_ms=T0, end_at_ms=T0 + 1, frequency=trace, resources={"E1": (trace, 30_000)}, terms=terms()
    )
    assert (result.figures["t0_at_ms"], result.verdict) == (T0, Verdict.DELIVERED)


def test_a_base_window_between_two_samples_has_no_base() -> None:
    assert score({"E1": block(30_000)}, terms(base_ms=50)).verdict is Verdict.UNPROVABLE


def test_a_resource_without_samples_is_unprovable() -> None:
    assert score({"E1": block(30_000), "E2": []}, terms()).verdict is Verdict.UNPROVABLE


@pytest.mark.parametrize(
    "changes",
    [
        {"t_full_ms": 0},
        {"support_ms": -1},
        {"tolerance_ppm": 1_000_001},
        {"max_over_ppm": -1},
        {"max_release_ppm_per_s": -1},
        {"base_ms": 0},
        {"max_hold_ms": 0},
    ],
)
def test_terms_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(WorkRefused):
        score({"E1": block(1)}, terms(**changes))


def test_no_resource_or_no_capacity_is_refused() -> None:
    with pytest.raises(WorkRefused):
        score({"E1": block(1)}, terms(), capacity_w=0)
    with pytest.raises(WorkRefused):
        score({}, terms(), frequency=block(1))
    with pytest.raises(WorkRefused):
        ffr.score(
            start_at_ms=START,
            end_at_ms=START,
            frequency=Trace([], 200),
            resources={"E": (Trace([], 1), 1)},
            terms=terms(),
        )


def test_too_many_instants_are_refused() -> None:
    dense = [Sample(START + at, 0, 50_000 if at < 10_000 else 49_000, 0, 0, 0) for at in range(60_000)]
    with pytest.raises(WorkRefused, match="instants"):
        score({"E1": dense}, terms())
