"""What the mending of typography and marks changes in whole books, and whether verse is told from wrapped prose.

    python -m tests.measure.text_mending BOOK.txt...

A book is a text of Project Gutenberg, in which verse is indented and prose is not. Printed are the changes by rule with
some of them, the paragraphs whose line ends are kept, the indented ones whose line ends are not, and the seconds.
"""

import random
import sys
import time
from collections import defaultdict
from pathlib import Path

from maya_batch.text.marks import mark_strippers
from maya_batch.text.paragraphs import paragraphs
from maya_batch.text.parser import parse_script
from maya_batch.text.passage import Change
from maya_batch.text.rewriting import rewrite
from maya_batch.text.typography_mending import mendings
from maya_batch.text.verse import is_verse, wrap_width

_SHOWN = 12


def main() -> None:
    for name in sys.argv[1:]:
        source = Path(name).read_text(encoding="utf-8-sig").replace("\r\n", "\n")
        print(f"== {name}")
        _verse(source)
        _changes(source)


def _verse(source: str) -> None:
    width = wrap_width(source)
    found = multiple = 0
    for paragraph in paragraphs(source):
        start = source.rfind("\n", 0, paragraph.start) + 1
        lines = [line for line in source[start : paragraph.end].split("\n") if line.strip()]
        if paragraph.is_scene_break or len(lines) < 2:
            continue
        multiple += 1
        kept = is_verse([line.strip() for line in lines], width)
        found += kept
        indented = all(line.startswith("  ") for line in lines)
        if kept or indented:
            print("kept   " if kept else "wrapped", " / ".join(line.strip() for line in lines)[:150])
    print(f"wrapped at {width}; {multiple} paragraphs of several lines, line ends kept in {found}")


def _changes(source: str) -> None:
    begun = time.process_time()
    passages, problems = parse_script(source, (), ())
    parsed = time.process_time()
    passages, refused = rewrite(passages, [*mendings(source, "en"), *mark_strippers(source, "strip")])
    print(f"parsed in {parsed - begun:.2f} s, mended in {time.process_time() - parsed:.2f} s")
    rules: dict[str, list[Change]] = defaultdict(list)
    for passage in passages:
        for change in passage.changes:
            rules[change.rule].append(change)
    for rule, changes in sorted(rules.items()):
        print(f"{rule}: {len(changes)}")
        for change in random.Random(0).sample(changes, min(_SHOWN, len(changes))):
            print(f"    {source[max(0, change.start - 25) : change.end + 25]!r} -> {change.spoken!r}")
    for problem in [*problems, *refused][:_SHOWN]:
        print(f"problem: {problem.what} {source[problem.offset : problem.offset + 40]!r}")


if __name__ == "__main__":
    main()
