"""How many wrong takes of one and two words the transcript check finds, and how many good ones it flags.

    python -m tests.measure.short_takes FOLDER TEXT [TEXT ...] --hear tiny.en

TEXT are plain text files, from which the demo voice speaks sentences of one and two words; its takes stay in FOLDER and
are used again. A wrong take is that of another sentence.
"""

import argparse
import random
import re
from collections.abc import Sequence
from pathlib import Path

from sentencex import segment

from maya_batch.manifest import Quality
from maya_batch.quality.hearing import SpokenTake
from maya_batch.quality.whisper import listen, load_recognizer
from maya_batch.text.typography import speakable
from tests.support.demo import FEMALE, MALE
from tests.support.fault_injection import RATE
from tests.support.good_takes import Line, Spoken, speak

_MOST_WORDS = 2


def short_lines(texts: Sequence[Path], count: int, seed: int) -> list[Line]:
    """Different sentences of one and two words, for a woman and a man in turn."""
    whole = "\n\n".join(path.read_text(encoding="utf-8") for path in texts)
    sentences: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", whole):
        for sentence in segment("en", " ".join(paragraph.split())):
            text = speakable(sentence.strip().strip("\"“”'‘’_"))
            words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text)
            if (
                0 < len(words) <= _MOST_WORDS
                and re.fullmatch(r"[A-Z][^\W\d_]*[^\d]*[.!?]", text)
                and not text.isupper()
            ):
                sentences.setdefault(" ".join(words).casefold(), text)
    drawn = random.Random(seed).sample(sorted(sentences.values()), min(count, len(sentences)))
    return [
        Line(f"short-{seed}-{n:04}", text, text, (FEMALE, MALE)[n % 2], seed * 10_000 + n)
        for n, text in enumerate(drawn)
    ]


def main() -> None:
    """Speak, listen and print what is flagged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--takes", type=int, default=100)
    parser.add_argument("--wrong", type=int, default=40)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--hear", required=True, help="the recognizer's name or folder")
    options = parser.parse_args()
    spoken = speak(options.folder, short_lines(options.texts, options.takes, options.seed))
    recognizer = load_recognizer(options.hear, "cpu", "en")

    def flagged(take: Spoken, text: str) -> bool:
        [(heard, problems)] = listen(recognizer, [SpokenTake(take.wave, text)], RATE, "en", Quality())
        kinds = ", ".join(problem.kind for problem in problems) or "-"
        print(f"  {kinds:8} “{text}” said as “{take.line.text}”, heard as “{heard.text}”", flush=True)
        return bool(problems)

    good = [flagged(take, take.line.text) for take in spoken]
    drawn = random.Random(options.seed)
    wrong = [
        flagged(drawn.choice([other for other in spoken if other is not take]), take.line.text)
        for take in drawn.sample(spoken, min(options.wrong, len(spoken)))
    ]
    print(f"{sum(good)} of {len(good)} good takes flagged, {sum(wrong)} of {len(wrong)} wrong takes found")


if __name__ == "__main__":
    main()
