"""OCPP-J frames: what is read, what is refused with which code, and what is ignored."""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.execution.errors import FrameRefused, FrameUnfit
from api.execution.ocpp import codec
from api.execution.ocpp import datatypes as t
from api.execution.ocpp import messages as m


def frame(*parts: object) -> bytes:
    return json.dumps(parts).encode()


def refused(data: bytes) -> FrameRefused:
    with pytest.raises(FrameRefused) as caught:
        codec.decode(data)
    assert caught.value.code == "api/ocpp-frame-refused"
    return caught.value


def test_the_five_message_types_are_read_and_keep_their_bytes() -> None:
    call = frame(2, "a", "Heartbeat", {})
    assert codec.decode(call) == codec.Call("a", "Heartbeat", b"{}", call)
    result = frame(3, "a", {"x": 1})
    assert codec.decode(result) == codec.CallResult("a", b'{"x": 1}', result)
    error = frame(4, "a", "GenericError", "", {})
    assert codec.decode(error) == codec.CallError("a", "GenericError", "", error)
    result_error = frame(5, "a", "GenericError", "", {})
    assert codec.decode(result_error) == codec.CallResultError("a", "GenericError", "", result_error)
    send = frame(6, "a", "NotifyPeriodicEventStream", {})
    assert codec.decode(send) == codec.Send("a", "NotifyPeriodicEventStream", b"{}", send)


@pytest.mark.parametrize("number", [0, 1, 7, 99, -3])
def test_unknown_message_types_are_ignored(number: int) -> None:
    assert codec.decode(frame(number, "a", "b", {})) is None


def test_a_frame_may_have_64_kibibytes_and_not_one_more() -> None:
    empty = len(frame(3, "a", {"x": ""}))
    fits = frame(3, "a", {"x": "y" * (codec.MAX_FRAME_BYTES - empty)})
    assert isinstance(codec.decode(fits), codec.CallResult)
    assert refused(frame(3, "a", {"x": "y" * (codec.MAX_FRAME_BYTES - empty + 1)})).ocpp_code == "RpcFrameworkError"


def test_a_message_id_may_have_36_characters_and_an_action_64() -> None:
    assert codec.decode(frame(2, "i" * 36, "a" * 64, {})) is not None
    assert refused(frame(2, "i" * 37, "a", {})).message_id == "-1"
    assert refused(frame(2, "i", "a" * 65, {})).message_id == "i"
    assert refused(frame(2, "", "a", {})).ocpp_code == "RpcFrameworkError"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[",
        b"[2]",
        b'["2","a","b",{}]',
        b"[2,1,2,{}]",
        b'[2,"a","b"]',
        b'[3,"a",{},{}]',
        b'[4,"a","b","c"]',
        b"[2.5,1,2]",
        b"[" * 5000,
        b'[3,"a",' + b"[" * 20_000 + b"]" * 20_000 + b"]",
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    assert refused(data).ocpp_code in ("RpcFrameworkError", "FormatViolation")


def test_a_payload_that_is_no_object_is_a_format_violation() -> None:
    assert refused(frame(2, "a", "Heartbeat", [])).ocpp_code == "FormatViolation"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{}", "OccurrenceConstraintViolation"),
        (b'{"evseId":1,"meterValue":[]}', "OccurrenceConstraintViolation"),
        (b'{"evseId":-1,"meterValue":[]}', "PropertyConstraintViolation"),
        (b'{"evseId":"1","meterValue":[]}', "TypeConstraintViolation"),
        (b'{"evseId":1,"extra":1,"meterValue":[]}', "OccurrenceConstraintViolation"),
        (b'{"evseId":', "FormatViolation"),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_with_the_standards_code(payload: bytes, code: str) -> None:
    with pytest.raises(FrameRefused) as caught:
        codec.open_payload(payload, m.ACTIONS["MeterValues"].request_decoder, "a")
    assert caught.value.ocpp_code == code


@pytest.mark.parametrize("number", ["NaN", "1e999", "Infinity", '"5"'])
def test_a_value_that_is_no_finite_number_is_refused(number: str) -> None:
    payload = (
        f'{{"evseId":1,"meterValue":[{{"timestamp":"2026-01-20T15:00:00Z","sampledValue":[{{"value":{number}}}]}}]}}'
    )
    with pytest.raises(FrameRefused):
        codec.open_payload(payload.encode(), m.ACTIONS["MeterValues"].request_decoder, "a")


def test_a_timestamp_without_a_zone_is_refused() -> None:
    payload = b'{"type":"x","timestamp":"2026-01-20T15:00:00"}'
    with pytest.raises(FrameRefused):
        codec.open_payload(payload, m.ACTIONS["SecurityEventNotification"].request_decoder, "a")


def test_a_message_of_ours_that_is_too_long_is_not_sent() -> None:
    data = m.DataTransferRequest(vendor_id="v", data="x" * codec.MAX_FRAME_BYTES)
    with pytest.raises(FrameUnfit):
        codec.encode_call("a", "DataTransfer", data)


def test_phase_names_keep_their_underscores() -> None:
    update = t.ScheduleUpdate(setpoint=1, setpoint_l2=2, discharge_limit_l3=-3)
    data = codec.encode_call(
        "a", "UpdateDynamicSchedule", m.UpdateDynamicScheduleRequest(charging_profile_id=1, schedule_update=update)
    )
    assert json.loads(data)[3]["scheduleUpdate"] == {"setpoint": 1, "setpoint_L2": 2, "dischargeLimit_L3": -3}


@pytest.mark.parametrize("at_ms", [0, 1, 999, 1_768_921_200_123, 4_102_444_799_999])
def test_milliseconds_survive_the_way_to_a_timestamp_and_back(at_ms: int) -> None:
    assert t.to_ms(t.from_ms(at_ms)) == at_ms


FRAMES = st.one_of(
    st.binary(max_size=60).map(lambda rest: b"[2," + rest),
    st.binary(max_size=60).map(lambda rest: b"[3," + rest),
    st.lists(
        st.one_of(
            st.integers(0, 7),
            st.text(max_size=70),
            st.none(),
            st.floats(allow_nan=False),
            st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
            st.lists(st.integers(), max_size=2),
        ),
        max_size=6,
    ).map(msgspec.json.encode),
    st.tuples(
        st.sampled_from([2, 3, 4, 5, 6]), st.text(max_size=40), st.text(max_size=70), st.just({"a": [1, "x"]})
    ).map(msgspec.json.encode),
    st.tuples(st.sampled_from([3]), st.text(max_size=40), st.just({"a": [1, "x"]})).map(msgspec.json.encode),
)


def judged(decode: Callable[[bytes], object], data: bytes) -> object:
    try:
        return decode(data)
    except FrameRefused as refused:
        return refused.ocpp_code, refused.message_id, refused.detail


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=FRAMES)
def test_the_short_way_through_a_frame_finds_what_the_long_way_finds(data: bytes) -> None:
    assert judged(codec.decode, data) == judged(codec._part_by_part, data)


def test_a_name_that_comes_twice_is_read_as_its_last_and_evidence_is_what_arrived() -> None:
    raw = b'[2,"1","Heartbeat",{"customData":{"vendorId":"a"},"customData":{"vendorId":"b"}}]'
    frame = codec.decode(raw)
    assert isinstance(frame, codec.Call)
    request = codec.open_payload(frame.payload, m.ACTIONS["Heartbeat"].request_decoder, "1")
    assert request.custom_data == {"vendorId": "b"}
    assert frame.raw == raw
