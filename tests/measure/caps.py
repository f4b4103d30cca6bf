"""How many good takes of the demo voice reach their max_frames, and how long a word takes at each pace.

    python -m tests.measure.caps --rows 250 TEXT [TEXT ...]

TEXT are plain text files; sentences of 1 to 45 words are drawn from them and generated with a far larger max_frames.
`cap_tokens` was set after a run of 250 sequences over two novels: none reached it.
"""

import argparse
import random
from collections import defaultdict
from pathlib import Path

from sentencex import segment

from maya_batch.checkpoint.locate import find_checkpoint
from maya_batch.checkpoint.token_layout import SLOTS
from maya_batch.engine.api import Request, Sampling
from maya_batch.engine.load import load_engine
from maya_batch.text.token_estimate import cap_tokens, expected_tokens, pace
from maya_batch.text.typography import speakable
from maya_batch.text.word_count import spoken_words

PACES = ("conversational", "conversational", "slow", "fast", "very_slow", "brisk", "very_fast")
FAR_FRAMES = 500
SHORT = ("Yes.", "No!", "Chapter 1.", "In 1984, Mr. Smith paid $1,250.75.", "He was 43.", "Room 101 was empty.")


def main() -> None:
    """Generate and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--rows", type=int, default=250)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    drawn = random.Random(options.seed)
    whole = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in options.texts)
    sentences = [sentence.strip() for sentence in segment("en", whole)]
    sentences = [s for s in sentences if 1 <= len(s.split()) <= 45 and any(c.isalpha() for c in s) and "<" not in s]
    texts = [*SHORT, *drawn.sample(sentences, min(len(sentences), options.rows - len(SHORT)))]
    requests = []
    for number, text in enumerate(texts):
        sex = ("female", "male")[number % 2]
        description = f"Realistic {sex} voice with american accent. Normal pitch, {PACES[number % len(PACES)]} pacing."
        requests.append(Request(str(number), description, speakable(text), number, FAR_FRAMES))
    requests.sort(key=lambda request: -expected_tokens(request.text, request.description, "en"))
    engine = load_engine(
        "hf",
        find_checkpoint("demo", "model").path,
        device="cpu",
        dtype="auto",
        quantization="none",
        batch_size=16,
    )
    by_key = {request.key: request for request in requests}
    use: list[float] = []
    a_word: dict[float, list[float]] = defaultdict(list)
    for generations in engine.generate(requests, Sampling(repetition_penalty=1.0), "framed"):
        for generation in generations:
            request = by_key[generation.key]
            tokens = len(generation.codes) * SLOTS
            use.append(tokens / cap_tokens(request.text, request.description, "en"))
            words = spoken_words(request.text).most
            if words > 5:
                a_word[pace(request.description)].append(tokens / words)
    reached = sum(share >= 1 for share in use)
    print(f"{len(use)} sequences, {reached} reach their max_frames; the longest takes {max(use):.0%} of it")
    for factor, values in sorted(a_word.items()):
        values.sort()
        middle, most = values[len(values) // 2], values[-1]
        print(f"pace {factor}: {len(values)} sequences, {middle:.0f} tokens a spoken word, at most {most:.0f}")


if __name__ == "__main__":
    main()
