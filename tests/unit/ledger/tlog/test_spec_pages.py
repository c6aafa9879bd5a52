"""The worked bytes of the specification are what the code reads and writes."""

import doctest
import re

import pytest

from tests.support.vectors import REPOSITORY


@pytest.mark.parametrize("page", ["checkpoint", "tiles", "proofs", "evidence", "disclosures", "storage"])
def test_the_worked_bytes_of_the_page_are_ours(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    text = (REPOSITORY / "docs" / "spec" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page, f"{page}.md", 0)
    assert len(example.examples) > 5
    said: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    assert results.failed == 0, "".join(said)


def test_the_pages_name_the_commit_of_the_specifications() -> None:
    for page in ("checkpoint", "tiles", "proofs"):
        assert "5ba5ee8" in (REPOSITORY / "docs" / "spec" / f"{page}.md").read_text(encoding="utf-8")
