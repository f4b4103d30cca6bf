"""The book of the benchmark: paragraphs of 10 to 50 words, in chapters of 60 paragraphs."""

import json
from pathlib import Path

import numpy as np

from maya_batch.checkpoint.locate import DEMO

VOICE = (
    "Realistic male voice in the 30s age with american accent. Normal pitch, warm timbre, conversational pacing, "
    "neutral tone delivery at medium intensity, podcast domain, narrator role, formal delivery."
)

#: The fewest and the most words of a paragraph; the demo voice was trained on shorter ones.
WORDS, DEMO_WORDS = (10, 50), (8, 20)

#: Speech tokens a word for random weights, as users of Maya1 measured, and tokens a second.
PACE, TOKENS_A_SECOND = (37, 55), 82.03

_CHAPTER_PARAGRAPHS = 60

#: The sentences of the paragraphs.
SENTENCES = (
    "The river ran past the mill and under the old stone bridge.",
    "She opened the window and looked out over the garden.",
    "He said nothing at all for a very long time.",
    "Nobody had seen the letter before it was sent away.",
    "The boat came in with the evening tide.",
    "There was a light in the house on the hill.",
    "We walked along the road until the rain began.",
    "The children ran down to the water to see the ships.",
    "In the morning the snow had covered every path.",
    "Her father kept a small shop near the market.",
    "They waited.",
    "It was late.",
    "The door was open.",
    "You may come in.",
)


#: What a take of random weights, which is noise, may have: else each would be encoded for the pages, as problems are.
NOISE_ALLOWED = {
    "shortest": 0,
    "longest": 10,
    "repeated_seconds": 60,
    "pause_seconds": 60,
    "noise_seconds": 60,
    "ending_seconds": 0,
}


def write_book(path: Path, hours: float, model: str, noise: bool = False) -> Path:
    """Write a manifest of about `hours` hours of speech, or of noise; it is the same for each call."""
    rng = np.random.default_rng(0)
    least, most = DEMO_WORDS if model == DEMO else WORDS
    paragraphs: list[str] = []
    words = hours * 3600 * TOKENS_A_SECOND / (sum(PACE) / 2)
    while words > 0:
        paragraphs.append(_paragraph(rng, int(rng.integers(least, most, endpoint=True))))
        words -= len(paragraphs[-1].split())
    chapters = [
        paragraphs[first : first + _CHAPTER_PARAGRAPHS] for first in range(0, len(paragraphs), _CHAPTER_PARAGRAPHS)
    ]
    manifest = {
        "title": "Benchmark",
        "voices": {"narrator": VOICE},
        "render": {"chunk_words": most, "attempts": 1, **({"quality": NOISE_ALLOWED} if noise else {})},
        "chapters": [
            {"title": f"Part {number}", "text": "\n\n".join(chapter)}
            for number, chapter in enumerate(chapters, start=1)
        ],
    }
    path.write_text(json.dumps(manifest), encoding="utf-8")
    return path


def _paragraph(rng: np.random.Generator, words: int) -> str:
    """Sentences of so many words in total."""
    sentences: list[str] = []
    while words:
        fitting = [sentence for sentence in SENTENCES if len(sentence.split()) in {words, *range(1, words - 1)}]
        sentences.append(fitting[int(rng.integers(len(fitting)))])
        words -= len(sentences[-1].split())
    return " ".join(sentences)
