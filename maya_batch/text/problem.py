"""A mistake in a chapter's text, by its offset; the manifest turns it into file:line:column."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TextProblem:
    """What is wrong at `offset` (characters from the start of the chapter's source text) and how to mend it.

    `tag` is true for unknown and closing tags, which `--allow-unknown-tags` turns into warnings.
    """

    offset: int
    what: str
    mend: str = ""
    tag: bool = False
