"""Texts for people are in plain English: some words that made them hard to read do not come back."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Programs are things, not people, and do things again rather than "anew"; the field has nouns for the rest.
_BANNED = re.compile(
    r"\b(anew|nobody|somebody|whoever|once more|no more than is|of its own accord|in so many words|as was asked|"
    r"goes on from there|begun anew|listens to the takes|speaks it again)\b",
    re.IGNORECASE,
)
#: Sentences of stories, to be spoken.
_PROSE = {"bench/workload.py", "run/samples.py"}
_DOCS = ("README.md", "CONTRIBUTING.md", "manifests/README.md", "configs/README.md", "maya_batch/README.md")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Comments and strings of a Python file, with their lines."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


@pytest.mark.parametrize("package", sorted(path.name for path in (ROOT / "maya_batch").iterdir() if path.is_dir()))
def test_code_is_written_in_plain_words(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {match[0]}"
        for path in (ROOT / "maya_batch" / package).rglob("*.py")
        if str(path.relative_to(ROOT / "maya_batch")) not in _PROSE
        for line, text in texts(path)
        for match in _BANNED.finditer(text)
    ]
    assert found == []


def test_the_root_and_the_docs_are_written_in_plain_words() -> None:
    paths = [*(ROOT / name for name in _DOCS), *(ROOT / "maya_batch").glob("*.py")]
    found = [f"{path.name}: {match[0]}" for path in paths for match in _BANNED.finditer(path.read_text("utf-8"))]
    assert found == []
