"""Compares the chapters that `import` finds in real books with tables that were written by hand.

    python -m tests.measure.chapter_tables FOLDER

FOLDER has the books that chapter_tables.yaml names. Prints a line for each book, and each difference; the exit code
is 1 if there is one.
"""

import sys
import time
from pathlib import Path
from typing import Any

import yaml

from maya_batch.importing.manuscript import read_manuscript

TRUTH = Path(__file__).with_name("chapter_tables.yaml")


def main(folder: Path) -> int:
    """Compare all books; the number of differences, at most 1."""
    wrong = 0
    for name, rows in yaml.safe_load(TRUTH.read_text(encoding="utf-8")).items():
        started = time.perf_counter()
        imported = read_manuscript(folder / name)
        seconds = time.perf_counter() - started
        expected = [_expected(row) for row in rows]
        found = [(each.title, "" if each.skip else each.part, each.skip) for each in imported.chapters]
        sums = imported.sums
        shown = sum(row in found for row in expected)
        print(
            f"{name}: {shown} of {len(expected)} chapters as expected, {len(found)} found; {sums.spoken:,} characters "
            f"read aloud, {sum(sums.skipped.values()):,} skipped, {sums.total:,} in all; {seconds:.1f} s"
        )
        if found != expected:
            wrong = 1
            for sign, rows_of in (("expected", set(expected) - set(found)), ("found", set(found) - set(expected))):
                for row in sorted(rows_of):
                    print(f"  {sign}: {row}")
        for remark in imported.remarks:
            print(f"  {remark}")
    return wrong


def _expected(row: Any) -> tuple[str, str, str]:
    if isinstance(row, str):
        return row, "", ""
    return str(row["title"]), str(row.get("part", "")), str(row.get("skip", ""))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
