"""What the pages tell the reader to run, runs."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from ledger.records.requests import RequestIssued
from tests.conftest import PlayedDay
from tests.support import marked
from tests.support.pages import Page, pages
from tests.support.vectors import REPOSITORY

PLAY = "flexledger demo --out day"
"""The one command that the fixture has run already."""
NOT_RUN = re.compile(r"flexledger ((serve|dev|dev-request|witness run|enroll|privacy|export verify)\b|scenario [a-z])")
"""Commands that run until they are told to stop, and what talks to them; end-to-end tests run them."""
PLACEHOLDERS = ("bundle.json", "policy.toml", "data")
"""Names in how-tos for what the reader has; the day's own files stand for them."""
COMMAND_LIMIT_S = 120
EXIT_CODE = re.compile(r"# exit code (\d)$")


SHELL = ("sh", "console")


def lines_of(block: str) -> list[str]:
    """The commands of a shell block."""
    lines = [line.strip().removeprefix("$ ").removeprefix(".venv/bin/") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def is_run(line: str) -> bool:
    """Whether a command can be run here."""
    return line.startswith("flexledger ") and line != PLAY and not NOT_RUN.match(line)


def needs_the_day(page: Page) -> bool:
    """Whether the page shows a command of ours; its Python blocks then go with them."""
    return any(is_run(line) for block in page.blocks(*SHELL) for line in lines_of(block))


WITH_COMMANDS = [page for page in pages() if page.blocks(*SHELL)]
OF_THE_DAY = [page for page in pages() if needs_the_day(page)]
WITH_PYTHON = [page for page in pages() if page.blocks("python") and page not in OF_THE_DAY]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_every_make_target_on_a_page_is_there(page: Page) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    lines = [line for block in page.blocks(*SHELL) for line in lines_of(block)]
    assert [line for line in lines if not line.startswith(("make ", "flexledger ", "curl "))] == []
    for line in lines:
        if line.startswith("make "):
            for target in shlex.split(line, comments=True)[1:]:
                assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), line


@pytest.mark.slow
@pytest.mark.day
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", OF_THE_DAY, ids=lambda page: page.name)
def test_a_page_about_the_day_does_what_it_says(
    page: Page, played_day: PlayedDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert played_day.exit_code == 0, played_day.said[-2000:]
    monkeypatch.chdir(tmp_path)
    stand_in(tmp_path, played_day.folder)
    names: dict[str, object] = {"__name__": "__page__"}
    for kind, block in page.fences():
        if kind == "python":
            exec(compile(block, page.name, "exec"), names)  # noqa: S102 -- our own page
        elif kind == "toml" and "[[parties]]" in block:
            (tmp_path / "ceremony.toml").write_text(block, encoding="utf-8")
        elif kind == "toml" and (named := re.match(r"# ([a-z]+\.toml)\n", block)):
            (tmp_path / named[1]).write_text(block, encoding="utf-8")
        elif kind in SHELL:
            for line in filter(is_run, lines_of(block)):
                run(line, tmp_path)


def run(line: str, folder: Path) -> None:
    """Runs one command; it must exit as the page says, or with 0."""
    wanted = EXIT_CODE.search(line)
    finished = subprocess.run(
        [*marked.COMMAND, *shlex.split(line, comments=True)[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_LIMIT_S,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert finished.returncode == (int(wanted[1]) if wanted else 0), f"{line}\n{finished.stdout}{finished.stderr}"


def stand_in(folder: Path, day: Path) -> None:
    """The day, and the files that how-tos name: a bundle, a policy in TOML, a copy of the log with its certificates."""
    shutil.copytree(day, folder / "day")
    shutil.copy(min((day / "bundles").glob("*.json")), folder / "bundle.json")
    shutil.copytree(day / "log", folder / "data")
    shutil.copytree(day / "ca", folder / "ca")
    policy = json.loads((day / "policy.json").read_text(encoding="utf-8"))
    # A JSON value of these types is a TOML value.
    lines = [f"{name} = {json.dumps(value)}" for name, value in policy.items()]
    (folder / "policy.toml").write_text("\n".join(lines), encoding="utf-8")
    assert all((folder / name).exists() for name in PLACEHOLDERS)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_every_python_block_of_a_page_runs(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__page__"}
    for block in page.blocks("python"):
        exec(compile(block, page.name, "exec"), names)  # noqa: S102 -- our own page
    assert len(names) > 1


def test_every_request_that_a_page_shows_in_clear_fits_its_schema() -> None:
    written = [page for page in pages() if not page.name.endswith("records.md")]  # that one's have a test of their own
    shown = [json.loads(block) for page in written for block in page.blocks("json") if '"params"' in block]
    assert [one["params"]["class"] for one in shown] == ["CONGESTION"]
    for one in shown:
        msgspec.convert(one, RequestIssued)


@pytest.mark.slow
@pytest.mark.day
@pytest.mark.timeout(400)
def test_the_excerpt_in_the_readme_is_what_the_demo_says(played_day: PlayedDay) -> None:
    (excerpt,) = (one for one in Page(REPOSITORY / "README.md").blocks("text") if one.startswith("  ok "))
    shown = [" ".join(line.split()) for line in excerpt.splitlines() if line.startswith("  ok ")]
    assert len(shown) >= 8
    said = [" ".join(line.split()) for line in played_day.said.splitlines()]
    assert [line for line in shown if not any(one.startswith(line) for one in said)] == []


@pytest.mark.slow
@pytest.mark.day
@pytest.mark.timeout(400)
def test_the_day_leaves_what_the_tutorial_says(played_day: PlayedDay) -> None:
    report = json.loads((played_day.folder / "report.json").read_text(encoding="utf-8"))
    assert report["holds"] is True
    tutorial = Page(REPOSITORY / "docs" / "tutorial" / "the-demo-day.md").text
    for name in sorted(path.name for path in played_day.folder.iterdir()):
        assert f"`{name}" in tutorial, name
