"""What others wrote is printed as text: it moves no cursor, names no title, and begins no line of its own."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.cli import failures, party_acts, pki_offline
from api.cli.words import plain
from api.errors import ApiError
from api.gateway import Told
from api.verification.report import Lines, Status
from api.wire import Problem
from ledger.errors import MAX_SHOWN, LedgerError
from pki.errors import PkiError

HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b31m\r\nVERIFIED\u202eb\u2028\x00\ud800"
TAME = "a\ufffd]0;title\ufffd\ufffd[2J\ufffd31m\ufffd\ufffdVERIFIED\ufffdb\ufffd\ufffd\ufffd"
KINDS = (ApiError, LedgerError, PkiError)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_repeats_nothing_that_a_terminal_obeys(kind: type[ApiError | LedgerError | PkiError]) -> None:
    error = kind(HOSTILE, expected=HOSTILE, found=HOSTILE, file=HOSTILE, index=3)
    assert error.message() == f"file={TAME} index=3: {TAME}; expected {TAME}, found {TAME}"
    assert str(error) == error.message()
    assert error.where == {"file": TAME, "index": 3}
    assert failures.told(error).isprintable()


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_not_as_long_as_others_want(kind: type[ApiError | LedgerError | PkiError]) -> None:
    longest, longer = "x" * MAX_SHOWN, "x" * (MAX_SHOWN + 1)
    assert kind("wrong", found=longest).message() == f"wrong; found {longest}"
    assert kind("wrong", found=longer).message() == f"wrong; found {longest}…"
    assert kind("wrong", file=longer).where["file"] == f"{longest}…"


def test_a_report_says_what_it_found_on_one_line() -> None:
    lines = Lines()
    lines.add("log", Status.REFUTED, "ledger/body-edited", HOSTILE, file=HOSTILE, index=1)
    report = lines.report(HOSTILE)
    assert report.lines[0].detail == TAME
    assert report.lines[0].place == f"file={TAME} index=1"
    assert report.summary().startswith(f"{TAME}: REFUTED")


def test_text_of_several_lines_keeps_them_and_nothing_else() -> None:
    assert plain("one\n\x1b[2Jtwo\r\n" + "x" * 2 * MAX_SHOWN) == "one\n\ufffd[2Jtwo\ufffd\n" + "x" * 2 * MAX_SHOWN


def test_what_a_service_answers_is_printed_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [
        {"name": "\x1b[2J"},
        Told(status=409, problem=Problem(type="", code="\x1b[2J", title="", status=409, detail="\x1b[2J")),
    ]

    async def acted(*_: object) -> Any:
        return answers.pop(0)

    monkeypatch.setattr(party_acts, "_acted", acted)
    monkeypatch.setattr(party_acts.parties, "load", lambda _: None)
    for code in (party_acts.DONE, party_acts.REFUSED):
        assert party_acts.run(Path(), acted, lambda found: f"name {found['name']}", json=False) == code
    pki_offline.say({}, "controller \x1b[2J", json=False)
    captured = capsys.readouterr()
    assert captured.out == "name \ufffd[2J\ncontroller \ufffd[2J\n"
    assert captured.err == "refused: \ufffd[2J: \ufffd[2J\n"


def test_json_holds_all_of_it_in_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    pki_offline.say({"name": "\x1b[2J"}, "", json=True)
    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text
    assert msgspec.json.decode(text) == {"name": "\x1b[2J"}
