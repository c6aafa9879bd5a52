"""`flexledger verify --report`: a page for people, static, escaped, the same bytes for the same file."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.verification import page
from api.verification.bundle import Verification, open_bundle
from tests.support.bundles import Story, changed

pytestmark = pytest.mark.slow  # takes seconds


def rendered(data: bytes) -> str:
    verification = Verification(open_bundle(data), None)
    return page.render(verification, verification.run(), digest="00" * 32, policy_digest=None)


def run(*args: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in args])
    return result.exit_code, result.output


class Tags(HTMLParser):
    """Every element and attribute; elements that stay open fail the test."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_shows_verdict_picture_and_tables(story: Story) -> None:
    text = rendered(story.settled)
    assert 'class="badge verified"' in text
    assert text.count("<svg ") == 1
    assert "Requested" in text
    assert "the same, bit for bit" in text
    assert "Period by period" in text
    assert "no policy was given" in text.lower()


def test_the_page_is_static_and_whole(story: Story) -> None:
    for data in (story.settled, story.mandatory, story.droop, story.erased):
        text = rendered(data)
        tags = Tags()
        tags.feed(text)
        assert tags.open == []
        assert not tags.seen & {"script", "iframe", "object", "embed", "link", "img", "form", "a", "base"}
        assert not {name for name in tags.attributes if name.startswith("on") or name in ("src", "href", "style")}
        assert "default-src 'none'" in text
        # Nothing is loaded from anywhere; the only address is the name of SVG itself.
        assert set(re.findall(r"https?://[^\"'<> ]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_the_same_file_gives_the_same_page(story: Story) -> None:
    assert rendered(story.droop) == rendered(story.droop)


def test_a_changed_proof_is_shown_as_refuted(story: Story) -> None:
    def edit(value: Any) -> None:
        value["entries"][3]["entry"]["rec"] += 1

    text = rendered(changed(story.settled, edit))
    assert 'class="badge refuted"' in text
    assert "ledger/entry-not-included" in text


def test_a_hostile_name_is_text(story: Story) -> None:
    verification = Verification(open_bundle(story.settled), None)
    report = verification.run()
    named = type(report)(subject="<script>alert(1)</script>", lines=report.lines, counts=report.counts)
    text = page.render(verification, named, digest="00" * 32, policy_digest=None)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_proof_whose_evidence_was_erased_says_what_is_recorded_and_draws_nothing(story: Story) -> None:
    text = rendered(story.erased)
    assert "could not be computed again" in text
    assert "not possible" in text
    assert "<svg " not in text


def test_the_command_writes_the_page_for_its_owner_only_and_never_over_a_file(story: Story, tmp_path: Path) -> None:
    bundle, out = tmp_path / "bundle.json", tmp_path / "report.html"
    bundle.write_bytes(story.settled)
    code, text = run("verify", bundle, "--report", out)
    assert code == 0
    assert "VERIFIED" in text
    assert out.stat().st_mode & 0o777 == 0o600
    kept = out.read_bytes()
    assert run("verify", bundle, "--report", out)[0] == 2
    assert out.read_bytes() == kept
    code, text = run("verify", bundle, "--report", bundle)
    assert code == 2
    assert bundle.read_bytes() == story.settled


def test_only_a_bundle_has_a_page(tmp_path: Path) -> None:
    receipt, out = tmp_path / "receipt", tmp_path / "report.html"
    receipt.write_bytes(b"c2sp.org/tlog-proof@v1\n")
    code, text = run("verify", receipt, "--report", out)
    assert code == 2
    assert "only a bundle has a page" in text
    assert not out.exists()
