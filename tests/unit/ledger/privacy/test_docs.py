"""The how-tos of this area run as they are printed."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[4] / "docs"


@pytest.mark.parametrize("page", ["how-to/erase-a-subject.md", "how-to/make-an-export.md"])
def test_a_how_to_runs_as_it_is_printed(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, object] = {"__name__": "__how_to__"}
    for block in blocks:
        exec(compile(block, page, "exec"), names)  # noqa: S102 -- our own page
