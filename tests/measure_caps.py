"""Whether the caps of text/length.py hold: sentences of 1 to 45 words, spoken by the demo voice at all paces.

Run with `python -m tests.measure_caps TEXT.txt ... --rows 250`. Each row may run far beyond its cap; how many reach
it, how much of it they use, and how many tokens a spoken word takes at each pace is printed.
"""

import argparse
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

import sentencex

from maya_batch.engines import Request, Sampling, load_engine
from maya_batch.resources import builtin
from maya_batch.text.length import cap_tokens, pace
from maya_batch.text.spoken import speakable, spoken_words
from maya_batch.tokens import SLOTS

#: Words a sentence has, from and to, and which share of the rows they are.
LENGTHS = ((1, 4, 0.25), (5, 12, 0.27), (13, 22, 0.23), (23, 34, 0.15), (35, 45, 0.10))

#: Numbers, names, abbreviations and the shortest there is: what is hardest to count.
HARD = (
    "Yes.", "No!", "Chapter 12.", "In 1984, Mr. Smith paid $1,250.75.", "He was 43.", "It cost $20.", "Go.",
    "On May 3, 1997, 12 men came.", "Page 99.", "By 1850 there were 36 of them.", "Half past 9.", "“Oh!”",
    "She had 7 cats and 15 dogs.", "Room 101 was empty.", "Dr. Jones, 56, left at 8.", "Why?",
)  # fmt: skip

PACES = ("conversational", "slow", "fast", "very slow", "brisk", "very fast")
DESCRIPTION = "Realistic {sex} voice in the 30s age with american accent. Normal pitch, warm timbre, {pace} pacing."

#: Tokens spoken before the words and after them.
_EDGES = 40


@dataclass(frozen=True)
class Row:
    """What came of one text."""

    text: str
    description: str
    tokens: int
    ended: bool

    @property
    def use(self) -> float:
        """The share of its cap that it took."""
        return self.tokens / cap_tokens(self.text, self.description, "en")


def sentences(texts: Iterable[Path], rows: int, randomly: random.Random) -> list[str]:
    """So many sentences of the texts, of all lengths, and the hard ones."""
    found: list[str] = []
    for text in texts:
        for paragraph in text.read_text(encoding="utf-8").split("\n\n"):
            found += [speakable(sentence) for sentence in sentencex.segment("en", " ".join(paragraph.split()))]
    by_length: dict[int, list[str]] = defaultdict(list)
    for sentence in sorted(set(found)):
        if any(character.isalpha() for character in sentence):
            by_length[spoken_words(sentence)].append(sentence)
    drawn = list(HARD[:rows])
    for low, high, share in LENGTHS:
        candidates = [sentence for length in range(low, high + 1) for sentence in by_length[length]]
        wanted = round(share * (rows - len(HARD)))
        drawn += randomly.sample(candidates, max(0, min(wanted, len(candidates))))
    return drawn


def speak(texts: Sequence[str], seed: int, most: int) -> list[Row]:
    """Each text once, by the two speakers and at all paces in turn."""
    engine = load_engine(
        "hf", builtin("assets", "demo-voice", "lm"), device="cpu", dtype="float32", quantization="none", batch_size=16
    )
    requests = []
    for number, text in enumerate(texts):
        description = DESCRIPTION.format(sex=("female", "male")[number % 2], pace=PACES[number // 2 % len(PACES)])
        requests.append(Request(str(number), description, text, seed + number, most // SLOTS))
    # Rows of about one length together; else all would wait for the longest.
    requests.sort(key=lambda request: -cap_tokens(request.text, request.description, "en"))
    asked = {request.key: request for request in requests}
    rows = []
    for generations in engine.generate(requests, Sampling(0.4, 0.9, 1.0), "framed"):
        for generation in generations:
            request = asked[generation.key]
            tokens = len(generation.codes) * SLOTS
            rows.append(Row(request.text, request.description, tokens, generation.finish == "eos"))
        print(f"{len(rows)} of {len(requests)}", flush=True)
    return rows


def report(rows: Sequence[Row]) -> None:
    """Print what there is to know of the rows."""
    over = [row for row in rows if row.use >= 1]
    ends = Counter(row.ended for row in rows)
    print(f"\n{len(rows)} rows: {len(over)} reached their cap; {ends[True]} ended by themselves")
    for row in over:
        print(f"  {row.use:.0%} of the cap, {row.tokens} tokens: {row.text}")
    print(
        f"use of the cap: {mean(row.use for row in rows):.0%} in the mean, {max(row.use for row in rows):.0%} at most"
    )
    print("\n| pace | rows | tokens a word, median | 95 % | most | use of the cap at most |\n|---|---|---|---|---|---|")
    for name in PACES:
        of_pace = [row for row in rows if f" {name} pacing" in row.description]
        long = [row for row in of_pace if row.ended and spoken_words(row.text) > 5]
        if not long:
            continue
        costs = sorted((row.tokens - _EDGES) / spoken_words(row.text) for row in long)
        factor = pace(DESCRIPTION.format(sex="male", pace=name))
        print(
            f"| {name} ({factor}) | {len(of_pace)} | {median(costs):.1f} | {costs[int(len(costs) * 0.95)]:.1f} | "
            f"{costs[-1]:.1f} | {max(row.use for row in of_pace):.0%} |"
        )


def main() -> None:
    """Draw, speak and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="+", help="plain text files, paragraphs apart by empty lines")
    parser.add_argument("--rows", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=3500, help="tokens a row may take")
    arguments = parser.parse_args()
    texts = sentences(arguments.texts, arguments.rows, random.Random(arguments.seed))
    report(speak(texts, arguments.seed, arguments.most))


if __name__ == "__main__":
    main()
