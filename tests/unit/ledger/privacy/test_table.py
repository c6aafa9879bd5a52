"""CSV that no spreadsheet runs and every parser reads."""

import csv
import io

import pytest

from ledger.privacy import errors
from ledger.privacy.exports import table


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "＝1",
        "＋1",
        "－1",
        "＠x",
        "\u200b=1",
        "\ufeff=1",
        "\u00a0=1",
        "|calc",
        "%0A=1",
        "\x00=1",
    ],
)
def test_what_a_spreadsheet_could_run_stands_behind_an_apostrophe(text: str) -> None:
    """A16, A32: formulas, DDE, leading blanks, full-width signs, invisible characters, NUL."""
    defused = table.defused(text)
    assert defused.startswith("'")
    assert not any(ord(one) < 32 for one in defused)


@pytest.mark.parametrize("text", ["", "plain", "DE*ABC*E1", "a=b", "12", "'quoted", "Ünïcode", "“x”"])
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert table.defused(text) == text


def test_every_field_is_quoted_and_numbers_stay_numbers() -> None:
    """A32: an embedded newline is a blank, quotes are doubled, a negative number is no formula."""
    rows = [{"a": -5, "b": 'say "x",\ny', "c": None, "d": True}, {"a": 7, "b": "=1", "d": False}]
    data = table.render(("a", "b", "c", "d"), rows)
    assert data == (b'"a","b","c","d"\r\n"-5","say ""x"", y","","true"\r\n"7","\'=1","","false"\r\n')
    parsed = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    assert [len(line) for line in parsed] == [4, 4, 4]
    assert int(parsed[1][0]) == -5


def test_nested_members_become_dotted_columns() -> None:
    flat = table.flatten({"z": 1, "a": {"b": [1, {"c": 2}], "_sd": ["x"], "d": {"e": "f"}}})
    assert flat == {"z": 1, "a.b": '[1,{"c":2}]', "a.d.e": "f"}
    assert table.columns([flat, {"q": 1}], ("z",)) == ("z", "a.b", "a.d.e", "q")


def test_a_table_has_a_greatest_width() -> None:
    wide = {f"c{n}": n for n in range(table.MAX_TABLE_COLUMNS)}
    assert len(table.columns([wide], ())) == table.MAX_TABLE_COLUMNS
    with pytest.raises(errors.ExportTooLarge):
        table.columns([wide], ("first",))
