"""How many cuts of books are harmful, by kind, under text rules 1 and 2.

    python -m tests.measure.cuts FOLDER [--words 40] [--show KIND --rules 2]

FOLDER has plain text files; each is cut at the default settings. The judge looks at the two sides of each cut with
simple patterns of its own, not with those of the cutter, so some of what it counts is fine ("he came in | and").
`--show` prints the cuts of one kind. The last lines are the seconds that cutting takes (process time, least of 5).
"""

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from maya_batch.book.settings import MAX_TOKENS, Sound
from maya_batch.text.chunking import chunk_script
from maya_batch.text.emotion_tags import MAYA1_TAGS
from maya_batch.text.parser import parse_script
from maya_batch.text.token_estimate import cap_tokens

VOICE = "Realistic female voice in the 30s age with american accent. Normal pitch, conversational pacing."
_BEFORE, _AFTER = 60, 30

_ABBREVIATIONS = (
    "Mr|Mrs|Ms|Messrs|Mme|Mlle|Dr|Prof|Rev|Hon|Gov|Sen|Rep|Gen|Col|Maj|Capt|Lt|Lieut|Sgt|Sergt|Corp|Cpl|Adm|Bro|Fr|St|Ste|"
    "Mt|Ft|Wm|Geo|Chas|Thos|Jas|Jos|Robt|Edw|Benj|Saml|[Vv]ols?|[Cc]h|chap|pp|figs?|approx|vs|viz|cf|Supt|Insp|Pres|Esqrs|"
    "Bt|Visct|Ld|Msgr"
)
_SMALL = (
    "a|an|the|this|that|these|those|my|your|his|its|our|their|every|each|some|any|no|"
    "of|to|in|on|at|by|for|with|from|into|onto|upon|over|under|between|among|through|during|without|within|against|"
    "towards?|about|above|across|after|before|behind|below|beneath|beside|beyond|near|than"
)
_LEAD = r"(?:^|[\s—–\-“‘\"'(\[_])"
#: By kind: the end of a chunk and the start of the next one, with "|" at the cut.
KINDS = {
    "torn abbreviation": rf"{_LEAD}(?:{_ABBREVIATIONS})\.\|[“‘\"'(\[]?[A-Z0-9]"
    rf"|{_LEAD}(?:[Nn]os?|p|[Aa]rt|Nov|Dec|Jan|Feb|Aug|Sept|Oct)\.\|[0-9]",
    "torn initials": rf"{_LEAD}(?:[A-HJ-Z]\.|[A-Z]\. ?[A-Z]\.)\|[A-Z][\w.]",
    "before lower case after a stop": r"\.[”’\"')\]_]*\|[“‘\"'(\[_]*[a-z]",
    "after an article, determiner or preposition": rf"{_LEAD}(?i:{_SMALL})\|",
    "enumerator torn": r"(?:^|\s)\((?:[a-z]|\d\d?|[ivx]+)\)\|"
    r"|(?:^|[.!?:]\s)(?:\d\d?|[a-z]|[IVX]{2,})[.)]\)?\|\w",
    "inside a number": r"\d[.,]?\|(?:[\d½¼¾]|(?:hundred|thousand|million|per cent)\b)",
    "inside a quotation's opening": r"(?:[“‘(\[]|(?:^|\s)[\"'])\|",
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in KINDS.items()}


def cuts(source: str, words: int, rules: int) -> Iterator[tuple[str, str]]:
    """The two sides of each cut inside a paragraph, stripped; and ("", "") for each chunk without one."""
    passages, _ = parse_script(source, (), MAYA1_TAGS, rules)
    pieces, _ = chunk_script(source, passages, words=words, fits=fits, language="en", rules=rules)
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        inside = following is not None and following.paragraph == piece.paragraph
        yield (piece.text[-_BEFORE:], following.text[:_AFTER]) if inside and following else ("", "")


def fits(text: str, _voice: str | None) -> bool:
    """Whether the model may speak a text in one go, at the default settings."""
    return cap_tokens(text, VOICE, "en") <= MAX_TOKENS


def kinds(before: str, after: str) -> list[str]:
    """The kinds of harm of one cut."""
    return [kind for kind, pattern in _PATTERNS.items() if pattern.search(f"{before}|{after}")]


def book_source(path: Path) -> str:
    """A text with its brackets escaped, so that they name no voices."""
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"([\\\[\]<>])", r"\\\1", text)


def seconds(source: str, words: int, rules: int) -> float:
    """The least process time of parsing and cutting a text, of 5 runs."""
    times = []
    for _ in range(5):
        begun = time.process_time()
        passages, _ = parse_script(source, (), MAYA1_TAGS, rules)
        chunk_script(source, passages, words=words, fits=fits, language="en", rules=rules)
        times.append(time.process_time() - begun)
    return min(times)


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--words", type=int, default=Sound.model_fields["chunk_words"].default)
    parser.add_argument("--show", choices=KINDS)
    parser.add_argument("--rules", type=int, default=2)
    parser.add_argument("--time", action="store_true")
    options = parser.parse_args()
    books = {path.stem: book_source(path) for path in sorted(options.folder.glob("*.txt"))}
    if options.show:
        for source in books.values():
            for before, after in cuts(source, options.words, options.rules):
                if options.show in kinds(before, after):
                    print(f"{before!r} | {after!r}")
        return
    print("| kind | rules 1 | per 10,000 chunks | rules 2 | per 10,000 chunks |\n|---|---|---|---|---|")
    found: dict[int, Counter[str]] = {}
    chunks: Counter[int] = Counter()
    for rules in (1, 2):
        sides = [side for source in books.values() for side in cuts(source, options.words, rules)]
        chunks[rules] = len(sides)
        found[rules] = Counter(kind for before, after in sides for kind in kinds(before, after))
    for kind in KINDS:
        cells = [f"{found[rules][kind]} | {found[rules][kind] / chunks[rules] * 10_000:.1f}" for rules in (1, 2)]
        print(f"| {kind} | {' | '.join(cells)} |")
    print(f"{chunks[1]} chunks under rules 1, {chunks[2]} under rules 2")
    if options.time:
        for name, source in books.items():
            print(name, *(f"rules {rules}: {seconds(source, options.words, rules):.2f} s" for rules in (1, 2)))


if __name__ == "__main__":
    main()
