"""Reads all EPUBs below a folder: characters accounted for, words against pandoc's plain text, seconds.

python -m tests.measure.manuscripts FOLDER
"""

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from maya_batch.errors import MayaBatchError
from maya_batch.importing.blocks import Document
from maya_batch.importing.epub import read_epub
from maya_batch.messages.printable import printable

#: Letters only: pandoc writes numbers before the items of lists and for notes, which the source does not have.
_WORD = re.compile(r"[^\W\d_]+")
#: What pandoc's plain text has too.
_IN_PANDOC = frozenset({"note mark", "page number", "line number", "ruby", "formula"})


def words(text: str) -> Counter[str]:
    """How often each word occurs; soft hyphens, joiners and case do not matter."""
    return Counter(_WORD.findall(re.sub("[\u00ad\u200b-\u200d\u2060]", "", text).casefold()))


def words_of(document: Document) -> Counter[str]:
    """The words of all blocks, but for title pages and contents, which pandoc leaves out."""
    left_out = {"titlepage", "toc"}
    return words("\n".join(block.text for block in document.blocks if left_out.isdisjoint(block.roles)))


def words_of_pandoc(path: Path) -> Counter[str] | None:
    """The words of pandoc's plain text; None if it cannot read the file, or is not installed."""
    pandoc = shutil.which("pandoc")
    if pandoc is None:
        return None
    command = [pandoc, "-f", "epub", "-t", "plain", "--wrap=none", str(path)]
    done = subprocess.run(command, capture_output=True, check=False)
    return words(done.stdout.decode()) if done.returncode == 0 else None


def difference(ours: Counter[str], theirs: Counter[str]) -> tuple[int, int]:
    """The words that only one of the two has: ours, theirs."""
    return (ours - theirs).total(), (theirs - ours).total()


def unaccounted(document: Document) -> int:
    """Characters of the source that are neither markup nor in a block."""
    blocks = sum(block.characters for block in document.blocks)
    return sum(document.sizes.values()) - sum(document.markup.values()) - blocks


def _line(path: Path) -> str:
    start = time.process_time()
    try:
        document = read_epub(path)
    except MayaBatchError as error:
        return printable(error)
    seconds = time.process_time() - start
    omitted: Counter[str] = Counter()
    for block in document.blocks:
        omitted.update(block.omitted)
    kinds = Counter(block.kind for block in document.blocks)
    text = sum(len(block.text) for block in document.blocks)
    lines = [
        f"{path.name}: {seconds:.2f} s, {sum(document.sizes.values()):,} characters = {text:,} text"
        f" + {omitted.total():,} omitted + {sum(document.markup.values()):,} markup;"
        f" {unaccounted(document)} unaccounted",
        f"  omitted {dict(omitted)}; blocks {dict(kinds)}; {len(document.contents)} contents entries",
        f"  {document.metadata}"[:600],
        *(f"  remark: {remark}" for remark in document.remarks),
    ]
    theirs = words_of_pandoc(path)
    if theirs is not None:
        ours = words_of(read_epub(path, keep=_IN_PANDOC))
        more, less = difference(ours, theirs)
        share = abs(ours.total() - theirs.total()) / max(1, theirs.total())
        lines.append(
            f"  {ours.total():,} words, pandoc {theirs.total():,} ({share:.3%}); only here {more}, only there {less}"
        )
        lines.append(f"  only here {_most(ours - theirs)}; only there {_most(theirs - ours)}")
    return "\n".join(printable(line) for line in lines)


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return counts.most_common(8)


def main(folders: Iterable[str]) -> None:
    """Print the figures of each EPUB."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.epub")):
            print(_line(path), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
