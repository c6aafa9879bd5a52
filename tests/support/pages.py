"""The pages of the documentation: where they are, their code blocks, headings and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.vectors import REPOSITORY

_FENCE = re.compile(r"^```(?P<kind>[a-z]*)[^\n]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return self.path.relative_to(REPOSITORY).as_posix()

    @property
    def text(self) -> str:
        """Everything in it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """Everything but its code blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *kinds: str) -> list[str]:
        """The fenced blocks of these kinds, in order."""
        return [text for kind, text in self.fences() if kind in kinds]

    def fences(self) -> Iterator[tuple[str, str]]:
        """Every fenced block with its kind, in order."""
        for found in _FENCE.finditer(self.text):
            yield found["kind"], found["text"]

    def links(self) -> Iterator[str]:
        """The targets of its links."""
        for found in _LINK.finditer(self.prose):
            yield found["target"]

    def anchors(self) -> set[str]:
        """The names that a link can end in, as renderers make them of headings."""
        return {slug(found["title"]) for found in _HEADING.finditer(self.prose)}


def slug(title: str) -> str:
    """A heading's anchor: lower case, spaces to hyphens, other punctuation away."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def pages() -> list[Page]:
    """Every Markdown page of the repository."""
    outside = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", REPOSITORY / "devcerts" / "README.md"]
    return [Page(path) for path in (*outside, *sorted((REPOSITORY / "docs").rglob("*.md")))]
