"""What the pages tell the reader to run, runs."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PlayedDay
from tests.support.pages import Page, pages
from tests.support.vectors import REPOSITORY

PLAY = "flexledger demo --out day"
"""The one command that the fixture has run already."""
NOT_RUN = re.compile(r"flexledger (serve|init|dev|dev-request|doctor) ")
"""Commands that need a service's own files or run until they are told to stop; end-to-end tests run them."""
PLACEHOLDERS = ("bundle.json", "policy.toml", "data")
"""Names in how-tos for what the reader has; the day's own files stand for them."""
COMMAND_LIMIT_S = 120


def commands(page: Page) -> list[str]:
    """The lines of a page's shell blocks that are commands."""
    lines = [line.strip() for block in page.blocks("sh", "console") for line in block.splitlines()]
    return [line.removeprefix("$ ").removeprefix(".venv/bin/") for line in lines if line and not line.startswith("#")]


PAGES = [page for page in pages() if commands(page)]
WITH_PYTHON = [page for page in pages() if page.blocks("python")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_on_a_page_is_there(page: Page) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for line in commands(page):
        if line.startswith("make "):
            for target in shlex.split(line, comments=True)[1:]:
                assert "=" in target or re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), line


@pytest.mark.slow
@pytest.mark.day
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_on_a_page_does_what_it_says(page: Page, played_day: PlayedDay, tmp_path: Path) -> None:
    assert played_day.exit_code == 0, played_day.said[-2000:]
    (tmp_path / "day").symlink_to(played_day.folder)
    stand_in(tmp_path, played_day.folder)
    for line in commands(page):
        if line == PLAY or not line.startswith("flexledger ") or NOT_RUN.match(line):
            continue
        words = shlex.split(line, comments=True)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "api", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_LIMIT_S,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def stand_in(folder: Path, day: Path) -> None:
    """The files that how-tos name: a bundle, a policy in TOML, a copy of the log with the certificates beside it."""
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


@pytest.mark.slow
@pytest.mark.day
@pytest.mark.timeout(400)
def test_the_excerpt_in_the_readme_is_what_the_demo_says(played_day: PlayedDay) -> None:
    excerpt = Page(REPOSITORY / "README.md").blocks("text")[0]
    shown = [line.strip() for line in excerpt.splitlines() if line.startswith("  ok ")]
    assert len(shown) >= 8
    missing = [line for line in shown if " ".join(line.split()) not in " ".join(played_day.said.split())]
    assert missing == []


@pytest.mark.slow
@pytest.mark.day
@pytest.mark.timeout(400)
def test_the_day_leaves_what_the_tutorial_says(played_day: PlayedDay) -> None:
    report = json.loads((played_day.folder / "report.json").read_text(encoding="utf-8"))
    assert report["holds"] is True
    tutorial = Page(REPOSITORY / "docs" / "tutorial" / "the-demo-day.md").text
    for name in sorted(path.name for path in played_day.folder.iterdir()):
        assert f"`{name}" in tutorial, name
