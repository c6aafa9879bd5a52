"""Bodies fit or are refused, and a refusal never repeats a value."""

import pytest

from api import wire
from api.wire import BodyMalformed, Submission

SUBJECT_5 = b'{"statement": "a", "disclosures": [{"text": "Erika", "subject": 5}]}'
NOT_BASE64 = b'{"statement": "a", "attachments": [{"data": "Erika!"}]}'


@pytest.mark.parametrize(
    ("body", "expected", "pointer"),
    [
        (b'{"statement":', "well-formed JSON", None),
        (b"[]", "`object`", None),
        (b"{}", "the member `statement`", None),
        (b'{"statement": 5}', "`str`", ".statement"),
        (b'{"statement": "a", "Erika": 1}', "no unknown member", None),
        (SUBJECT_5, "`str | null`", ".disclosures[0].subject"),
        (NOT_BASE64, "a value that the schema allows", ".attachments[0].data"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_what_was_wanted(
    body: bytes, expected: str, pointer: str | None
) -> None:
    with pytest.raises(BodyMalformed) as caught:
        wire.decode(body, Submission)
    assert caught.value.expected == expected
    assert caught.value.where.get("pointer") == pointer
    assert "Erika" not in caught.value.message()


@pytest.mark.parametrize(
    ("member", "item", "limit"),
    [("disclosures", '{"text":"x"}', wire.MAX_DISCLOSURES), ("attachments", '{"data":"eA=="}', wire.MAX_ATTACHMENTS)],
)
def test_lists_are_bounded(member: str, item: str, limit: int) -> None:
    def body(count: int) -> bytes:
        return f'{{"statement":"a","{member}":[{",".join([item] * count)}]}}'.encode()

    assert len(getattr(wire.decode(body(limit), Submission), member)) == limit
    with pytest.raises(BodyMalformed):
        wire.decode(body(limit + 1), Submission)
