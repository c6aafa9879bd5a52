"""OCPP-J frames (OCPP 2.1 part 4): CALL, CALLRESULT, CALLERROR, CALLRESULTERROR and SEND, bounded in every dimension.

`decode` keeps the raw frame, because evidence is what arrived and never what we would have written instead.
"""

from enum import IntEnum
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from api.execution.errors import FrameRefused, FrameUnfit

MAX_FRAME_BYTES = 64 * 1024
MAX_MESSAGE_ID = 36
MAX_ACTION = 64
MAX_ERROR_CODE = 50
MAX_DESCRIPTION = 255
NO_MESSAGE_ID = "-1"


class MessageType(IntEnum):
    """The message types of part 4, section 4.1.3."""

    CALL = 2
    CALLRESULT = 3
    CALLERROR = 4
    CALLRESULTERROR = 5
    SEND = 6


class Call(msgspec.Struct, frozen=True, gc=False):
    """A request that wants an answer."""

    message_id: str
    action: str
    payload: bytes
    raw: bytes


class CallResult(msgspec.Struct, frozen=True, gc=False):
    """The answer to a CALL."""

    message_id: str
    payload: bytes
    raw: bytes


class CallError(msgspec.Struct, frozen=True, gc=False):
    """The refusal of a CALL."""

    message_id: str
    code: str
    description: str
    raw: bytes


class CallResultError(msgspec.Struct, frozen=True, gc=False):
    """The refusal of a CALLRESULT."""

    message_id: str
    code: str
    description: str
    raw: bytes


class Send(msgspec.Struct, frozen=True, gc=False):
    """A message that wants no answer."""

    message_id: str
    action: str
    payload: bytes
    raw: bytes


Frame = Call | CallResult | CallError | CallResultError | Send

# Plain integers: an enumeration costs a call for each frame.
_CALL, _CALLRESULT, _SEND = int(MessageType.CALL), int(MessageType.CALLRESULT), int(MessageType.SEND)
_LENGTHS = {
    MessageType.CALL: 4,
    MessageType.CALLRESULT: 3,
    MessageType.CALLERROR: 5,
    MessageType.CALLRESULTERROR: 5,
    MessageType.SEND: 4,
}
_Id = Annotated[str, Meta(min_length=1, max_length=MAX_MESSAGE_ID)]


class _PlainCall(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """A CALL as nearly all of them come; whatever is not exactly so is looked at part by part."""

    kind: int
    message_id: _Id
    action: Annotated[str, Meta(min_length=1, max_length=MAX_ACTION)]
    payload: msgspec.Raw


class _PlainResult(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """A CALLRESULT, likewise."""

    kind: int
    message_id: _Id
    payload: msgspec.Raw


_plain_call = msgspec.json.Decoder(_PlainCall)
_plain_result = msgspec.json.Decoder(_PlainResult)
_array = msgspec.json.Decoder(list[msgspec.Raw])
_whole = msgspec.json.Decoder(int)
_text = msgspec.json.Decoder(str)
_encoder = msgspec.json.Encoder()
M = TypeVar("M")


def decode(frame: bytes) -> Frame | None:
    """The frame, or None for a message type that part 4 says to ignore. Raises `FrameRefused`."""
    if len(frame) > MAX_FRAME_BYTES:
        raise FrameRefused("frame too long", ocpp_code="RpcFrameworkError", found=len(frame))
    try:
        if frame[:3] == b"[2,":
            call = _plain_call.decode(frame)
            payload = bytes(call.payload)
            if payload[:1] == b"{":
                return Call(call.message_id, call.action, payload, frame)
        elif frame[:3] == b"[3,":
            result = _plain_result.decode(frame)
            payload = bytes(result.payload)
            if payload[:1] == b"{":
                return CallResult(result.message_id, payload, frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # what exactly is wrong is found out below
    return _part_by_part(frame)


def _part_by_part(frame: bytes) -> Frame | None:
    """See `decode`; this one says of each part what is wrong with it."""
    try:
        parts = _array.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameRefused("not a JSON array", ocpp_code="RpcFrameworkError") from error
    if len(parts) < 2:
        raise FrameRefused("array too short", ocpp_code="RpcFrameworkError", found=len(parts))
    try:
        number = _whole.decode(parts[0])
    except msgspec.DecodeError as error:
        raise FrameRefused("message type is not an integer", ocpp_code="RpcFrameworkError") from error
    if number not in _LENGTHS:
        return None
    kind = MessageType(number)
    message_id = _bounded(parts[1], MAX_MESSAGE_ID, "message id", NO_MESSAGE_ID)
    if len(parts) != _LENGTHS[kind]:
        raise FrameRefused(
            f"a {kind.name} has {_LENGTHS[kind]} elements",
            ocpp_code="RpcFrameworkError",
            message_id=message_id,
            found=len(parts),
        )
    if kind is MessageType.CALLRESULT:
        return CallResult(message_id, _object(parts[2], message_id), frame)
    if kind in (MessageType.CALL, MessageType.SEND):
        action = _bounded(parts[2], MAX_ACTION, "action", message_id)
        build = Call if kind is MessageType.CALL else Send
        return build(message_id, action, _object(parts[3], message_id), frame)
    code = _bounded(parts[2], MAX_ERROR_CODE, "error code", message_id)
    description = _bounded(parts[3], MAX_DESCRIPTION, "error description", message_id)
    fail = CallError if kind is MessageType.CALLERROR else CallResultError
    return fail(message_id, code, description, frame)


def _bounded(part: msgspec.Raw, limit: int, what: str, message_id: str) -> str:
    try:
        text = _text.decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FrameRefused(f"{what} is not a string", ocpp_code="RpcFrameworkError", message_id=message_id) from error
    if len(text) > limit or (what in ("message id", "action") and not text):
        raise FrameRefused(
            f"{what} is empty or too long", ocpp_code="RpcFrameworkError", message_id=message_id, found=len(text)
        )
    return text


def _object(part: msgspec.Raw, message_id: str) -> bytes:
    payload = bytes(part)
    if not payload.startswith(b"{"):
        raise FrameRefused("payload is not an object", ocpp_code="FormatViolation", message_id=message_id)
    return payload


def open_payload(payload: bytes, decoder: msgspec.json.Decoder[M], message_id: str) -> M:
    """The typed message in `payload`. Raises `FrameRefused` with the CALLERROR code of part 4, table 7."""
    try:
        return decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise FrameRefused(str(error), ocpp_code=_violation(str(error)), message_id=message_id) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameRefused("payload is not JSON", ocpp_code="FormatViolation", message_id=message_id) from error


def _violation(message: str) -> str:
    if "missing required field" in message or "unknown field" in message or "of length" in message:
        return "OccurrenceConstraintViolation" if "`array`" in message or "field" in message else "FormatViolation"
    if "Invalid enum value" in message or ">=" in message or "<=" in message:
        return "PropertyConstraintViolation"
    return "TypeConstraintViolation"


def encode_call(message_id: str, action: str, message: msgspec.Struct) -> bytes:
    """A CALL. Raises `FrameUnfit`."""
    return _bytes([_CALL, message_id, action, message])


def encode_send(message_id: str, action: str, message: msgspec.Struct) -> bytes:
    """A SEND. Raises `FrameUnfit`."""
    return _bytes([_SEND, message_id, action, message])


def encode_result(message_id: str, message: msgspec.Struct) -> bytes:
    """A CALLRESULT. Raises `FrameUnfit`."""
    return _bytes([_CALLRESULT, message_id, message])


def encode_error(message_id: str, code: str, description: str = "") -> bytes:
    """A CALLERROR; the description is cut to what the standard allows."""
    return _bytes([int(MessageType.CALLERROR), message_id, code, description[:MAX_DESCRIPTION], {}])


def encode_result_error(message_id: str, code: str, description: str = "") -> bytes:
    """A CALLRESULTERROR; the description is cut to what the standard allows."""
    return _bytes([int(MessageType.CALLRESULTERROR), message_id, code, description[:MAX_DESCRIPTION], {}])


def _bytes(frame: list[object]) -> bytes:
    data = _encoder.encode(frame)
    if len(data) > MAX_FRAME_BYTES:
        raise FrameUnfit("frame too long", expected=f"<= {MAX_FRAME_BYTES} bytes", found=len(data))
    return data
