"""Finds chapters by their numbers, as people write them: `1-3,7`."""

import re

from maya_batch.book.plan import Plan
from maya_batch.errors import UsageError
from maya_batch.messages.quoting import quoted

_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?", re.ASCII)


def find_chapters(text: str, plan: Plan) -> frozenset[int]:
    """The numbers of the chapters that `text` names; in a range, those that are skipped do not count.

    Raises:
        UsageError: it is malformed, or names a chapter that the book does not have or skips.
    """
    rendered = {chapter.number for chapter in plan.chapters}
    found: set[int] = set()
    for part in text.split(","):
        numbers = _RANGE.fullmatch(part)
        if numbers is None:
            raise UsageError(f"--chapters {quoted(text)}: write numbers and ranges, like 1-3,7")
        first, last = int(numbers[1]), int(numbers[2] or numbers[1])
        if last < first:
            raise UsageError(f"--chapters {part.strip()} runs backwards; write {last}-{first}")
        numbers_of_all = _numbers(plan)
        wrong = next((number for number in (first, last) if number not in numbers_of_all), None)
        those = rendered & set(range(first, last + 1)) if wrong is None else set()
        if not those:
            raise UsageError(f"--chapters {part.strip()}: {no_chapter(first if wrong is None else wrong, plan)}")
        found |= those
    return frozenset(found)


def no_chapter(number: int, plan: Plan) -> str:
    """Why no chapter of this number is rendered, as the second half of a message."""
    if any(chapter.number == number for chapter in plan.manuscript.skipped):
        return f"chapter {number} is skipped; to render it, delete its `skip:` in the manifest"
    known = _numbers(plan)
    least, most = min(known), max(known)
    those = f"chapters {least} to {most}" if most > least else "one chapter"
    return f"there is no chapter {number}; the book has {those}"


def _numbers(plan: Plan) -> set[int]:
    """The numbers of all chapters, also of those that are skipped, and of credits."""
    return {*range(1, len(plan.book.chapters) + 1), *(chapter.number for chapter in plan.chapters)}
