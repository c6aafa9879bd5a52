"""Lines hold what was thought about and nothing else; the metrics are those that are documented."""

import ast
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from api import telemetry

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def stream() -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    telemetry.configure(stream)
    yield stream
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [each for each in root.handlers if not isinstance(each, telemetry.Bridge)]


def _lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_a_field_that_nobody_thought_about_is_withheld(stream: io.BytesIO) -> None:
    telemetry.log.info("said", route="/v1", evu="Erika", code=b"bytes", found={"x": [1, b"y"]})
    (line,) = _lines(stream)
    assert (line["event"], line["level"], line["route"]) == ("said", "info", "/v1")
    assert (line["evu"], line["code"]) == (telemetry.WITHHELD, telemetry.WITHHELD)
    assert line["found"] == {"x": [1, telemetry.WITHHELD]}


LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def test_no_line_of_ours_says_what_would_be_withheld() -> None:
    said = {
        (path.name, keyword.arg)
        for top in ("api", "ledger", "pki")
        for path in (REPOSITORY / top).rglob("*.py")
        if "log." in (text := path.read_text())
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS
        for keyword in node.keywords
        if keyword.arg is not None
    }
    assert ("privacy.py", "count") in said
    assert [(file, name) for file, name in sorted(said) if name not in telemetry.FIELDS] == []


@pytest.mark.parametrize(("length", "kept"), [(telemetry.MAX_TEXT, 512), (telemetry.MAX_TEXT + 1, 512)])
def test_long_texts_are_cut(stream: io.BytesIO, length: int, kept: int) -> None:
    telemetry.log.info("said", reason="x" * length)
    assert len(_lines(stream)[0]["reason"]) == kept


def test_an_exception_leaves_its_type_and_place_and_not_its_message(stream: io.BytesIO) -> None:
    try:
        raise ValueError("Erika")
    except ValueError:
        telemetry.log.exception("failed")
    (line,) = _lines(stream)
    assert line["error"] == "builtins.ValueError"
    assert line["frames"][0].startswith("test_telemetry.py:")
    assert "Erika" not in str(line)


def test_lines_of_libraries_come_through_without_their_arguments(stream: io.BytesIO) -> None:
    logging.getLogger("uvicorn.error").warning("Invalid %s", "Erika")
    try:
        raise ValueError("Erika")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in %s", "Erika")
    first, second = _lines(stream)
    assert (first["event"], first["logger"], first["level"]) == ("Invalid %s", "uvicorn.error", "warning")
    assert (second["error"], second["level"]) == ("builtins.ValueError", "error")
    assert "Erika" not in str((first, second))


def test_configuring_twice_logs_once(stream: io.BytesIO) -> None:
    telemetry.configure(stream)
    logging.getLogger("some.library").error("once")
    assert len(_lines(stream)) == 1


def test_the_reference_page_lists_every_metric_as_it_is() -> None:
    page = (REPOSITORY / "docs/reference/metrics.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `flexledger_")]
    shown = []
    for row in rows:
        name, kind, labels, text = (cell.strip() for cell in row.strip("|").split("|"))
        found = tuple(label.strip().strip("`") for label in labels.split(",") if label.strip())
        shown.append(telemetry.MetricDescription(name.strip("`"), kind, found, text))
    assert tuple(shown) == telemetry.describe()


def test_the_metrics_are_rendered_as_text() -> None:
    telemetry.HTTP_OPEN.set(0)
    assert b"# TYPE flexledger_http_requests_open gauge" in telemetry.render()
