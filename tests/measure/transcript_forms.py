"""How the transcript check judges right transcripts that write things in another form than the text does.

    python -m tests.measure.transcript_forms FOLDER [--show 20]

FOLDER has `written_spoken.jsonl` and `written_digits.jsonl` (passages of books with the same words as
nemo_text_processing writes them) and `whisper_english_spellings.json` (British to American, from openai/whisper). Each
pair is judged in both directions: none should be flagged, and no spelling should cost a word error. The time is that
of all checks, in one thread.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time

from maya_batch.manifest.schema import Quality
from maya_batch.quality.transcript_checks import check_words

Pair = tuple[str, str]

#: The other form of a passage, by the name of its file.
_OTHER_FORM = {"written_spoken": "spoken", "written_digits": "digits"}


def passages(path: Path) -> list[Pair]:
    """The passages of a file, each with its other form."""
    other = _OTHER_FORM[path.stem.removesuffix("_sample")]
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(line["written"], line[other]) for line in lines]


def spellings(path: Path) -> list[Pair]:
    """British words and American ones in the same sentence."""
    words = json.loads(path.read_text(encoding="utf-8"))
    return [tuple(f"They said that {word} was there again." for word in pair) for pair in words.items()]  # type: ignore[misc]


def directions(pairs: Sequence[Pair]) -> Iterator[tuple[str, list[Pair]]]:
    """The pairs as text and transcript, and swapped."""
    yield "as text and transcript", list(pairs)
    yield "swapped", [(other, one) for one, other in pairs]


def judge(pair: Pair) -> tuple[float, list[str]]:
    """The word error and the problems of a transcript."""
    text, transcript = pair
    heard, problems = check_words(text, transcript, "none", "en", Quality())
    return heard.word_error, [f"{problem.kind}: {problem.detail}" for problem in problems]


def main() -> None:
    """Judge all pairs and print a line for each file and direction."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", type=int, default=20, help="how many pairs of each kind are shown")
    options = parser.parse_args()
    for name in _OTHER_FORM:
        for direction, pairs in directions(passages(options.folder / f"{name}.jsonl")):
            start = process_time()
            judged = [judge(pair) for pair in pairs]
            took = (process_time() - start) / sum(len(text.split()) for text, _ in pairs) * 40_000
            flagged = [problems for _, problems in judged if problems]
            wrong = sum(error > 0 for error, _ in judged)
            print(f"{name}, {direction}: {len(flagged)} of {len(pairs)} flagged, {wrong} with word errors, ", end="")
            print(f"{took:.2f} ms for 40 words")
            for problems in flagged[: options.show]:
                print(f"    {'; '.join(problems)}")
    for direction, pairs in directions(spellings(options.folder / "whisper_english_spellings.json")):
        costly = [pair for pair in pairs if judge(pair)[0]]
        print(
            f"spellings, {direction}: {len(costly)} of {len(pairs)} cost a word error ({len(costly) / len(pairs):.1%})"
        )
        for text, transcript in costly[: options.show]:
            print(f"    {text.split()[3]}: {transcript.split()[3]}")


if __name__ == "__main__":
    main()
