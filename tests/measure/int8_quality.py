"""How the demo voice sounds with keys and values in 8 bits, beside 16: the same lines, with the same seeds.

    pip install pocketsphinx praat-parselmouth
    python -m tests.measure.int8_quality speak FOLDER TEXT [TEXT ...] [--takes 600] [--device cuda]
    python -m tests.measure.int8_quality hear FOLDER --recognizer MODEL [--processes 14] [--seconds 500]
    python -m tests.measure.int8_quality tell FOLDER

`speak` speaks lines of TEXT, plain text files, and those of manifests/emotions.yaml, into FOLDER/model and FOLDER/int8.
`hear` measures each pair of takes, and continues where it stopped: word errors by Whisper (MODEL is its folder) and by
PocketSphinx, problems, length, and pitch. `tell` prints the means and the intervals of their differences.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maya_batch.book.plan import make_plan
from maya_batch.engine.api import Generation, Request, Sampling
from maya_batch.manifest import Quality, Render
from tests.support.demo import CHECKPOINT, CODEC, MANIFESTS
from tests.support.fault_injection import RATE
from tests.support.good_takes import Line, draw_lines, layout

CACHES: tuple[Literal["model", "int8"], ...] = ("model", "int8")

#: `tests.measure.detection` and `cache_rounding` take their lines with the first seed.
FIRST_SEED, LINES_A_SEED = 5, 300

#: The pace of a voice with too few takes: wide limits apply.
_ANY_PACE = 0.0

#: Each chunk of the emotions is spoken so often.
EMOTION_SEEDS = 5


def emotion_lines() -> Iterator[Line]:
    """The chunks of the book of emotions, with several seeds."""
    chunks = list(make_plan(MANIFESTS / "emotions.yaml", Render()).chunks())
    for seed in range(EMOTION_SEEDS):
        for number, chunk in enumerate(chunks):
            yield Line(
                f"e{seed}-{number:04}", chunk.text, chunk.text, chunk.description, 990_000 + 1000 * seed + number
            )


def speak(folder: Path, texts: Sequence[Path], takes: int, device: str) -> None:
    """Speak all lines with both caches, and decode them."""
    from maya_batch.audio.snac_codec import load_codec
    from maya_batch.engine.device import choose_device
    from maya_batch.engine.load import load_engine

    emotions = list(emotion_lines())[:takes]
    seeds = range(FIRST_SEED, FIRST_SEED + -(-(takes - len(emotions)) // LINES_A_SEED))
    novels = list(chain.from_iterable(draw_lines(texts, LINES_A_SEED, seed) for seed in seeds))
    lines = {line.key: line for line in [*novels[: takes - len(emotions)], *emotions]}
    requests = [
        Request(line.key, line.description, line.said, line.seed, line.max_frames, line.expected_frames)
        for line in lines.values()
    ]
    requests.sort(key=lambda request: -request.likely_frames)
    codec = load_codec(CODEC, layout(), choose_device(device))
    for kv_cache in CACHES:
        (folder / kv_cache).mkdir(parents=True, exist_ok=True)
        engine = load_engine(
            *("hf", CHECKPOINT),
            device=device,
            dtype="auto",
            quantization="none",
            batch_size=None,
            kv_cache=kv_cache,
        )
        began, frames = time.monotonic(), 0
        for generations in engine.generate(requests, Sampling(repetition_penalty=1.0), "framed"):
            for made in generations:
                line = lines[made.key]
                path = folder / kv_cache / f"{line.key}.npz"
                np.savez(path, codes=made.codes, line=np.array(json.dumps(asdict(line))), finish=np.array(made.finish))
                frames += len(made.codes)
        print(f"{kv_cache}: {len(lines)} takes, {frames} frames, {time.monotonic() - began:.1f} s", flush=True)
        for line in lines.values():
            with np.load(folder / kv_cache / f"{line.key}.npz") as archive:
                np.save(folder / kv_cache / f"{line.key}.npy", codec.decode(archive["codes"], line.seed))


@cache
def _recognizer(model: str) -> Any:
    from maya_batch.quality.whisper import load_recognizer

    return load_recognizer(model, "cpu", "en")


@cache
def _sphinx() -> Any:
    from tests.measure.retries import _pocketsphinx

    return _pocketsphinx()


def measured(folder: Path, key: str, model: str) -> list[dict[str, Any]]:
    """What is found in both takes of a line."""
    return [_measured(folder / kv_cache, key, model) | {"cache": kv_cache, "key": key} for kv_cache in CACHES]


def _measured(folder: Path, key: str, model: str) -> dict[str, Any]:
    import jiwer
    import parselmouth

    from maya_batch.quality.audio_checks import check_sound
    from maya_batch.quality.code_checks import check_codes
    from maya_batch.quality.hearing import SpokenTake
    from maya_batch.quality.whisper import listen
    from tests.measure.retries import _resampled
    from tests.support.asr import words

    with np.load(folder / f"{key}.npz") as archive:
        line, codes, finish = Line(**json.loads(str(archive["line"]))), archive["codes"], str(archive["finish"])
    wave: NDArray[np.float32] = np.load(folder / f"{key}.npy")
    quality, generation = Quality(), Generation(key, codes, finish)  # type: ignore[arg-type]
    [(transcript, wrong)] = listen(_recognizer(model), [SpokenTake(wave, line.text)], RATE, "en", quality)
    problems = [
        *check_codes(generation, line.text, line.expected_frames, layout(), _ANY_PACE, quality),
        *check_sound(wave, RATE, line.text, quality),
        *wrong,
    ]
    said = words(line.text)
    compared = jiwer.process_words(" ".join(said), " ".join(_sphinx()(_resampled(wave, RATE))))
    pitch = parselmouth.Sound(wave.astype(np.float64), RATE).to_pitch(pitch_floor=60, pitch_ceiling=350)
    voiced = pitch.selected_array["frequency"]
    voiced = voiced[voiced > 0]
    return {
        "words": len(said),
        "whisper": (transcript.word_error or 0.0) * len(said),
        "sphinx": compared.substitutions + compared.deletions + compared.insertions,
        "frames": len(codes),
        "f0": float(np.median(voiced)) if len(voiced) else 0.0,
        "problems": sorted({problem.kind for problem in problems} | ({"cap"} if finish == "cap" else set())),
    }


def hear(folder: Path, model: str, processes: int, seconds: float) -> None:
    """Measure the pairs that are not measured yet, for at most so many seconds."""
    until, path = time.monotonic() + seconds, folder / "heard.jsonl"
    done = {json.loads(row)["key"] for row in path.read_text().splitlines()} if path.exists() else set()
    keys = [found.stem for found in sorted((folder / "int8").glob("*.npz")) if found.stem not in done]
    # Emotions and novels in turn, so that a part has some of all.
    keys = [key for start in range(29) for key in keys[start::29]]
    waiting = iter(keys)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool, path.open("a") as file:
        running = {pool.submit(measured, folder, key, model) for _, key in zip(range(processes), waiting, strict=False)}
        while running:
            finished = next(as_completed(running))
            running.remove(finished)
            for row in finished.result():
                file.write(json.dumps(row) + "\n")
            file.flush()
            if time.monotonic() < until and (key := next(waiting, None)) is not None:
                running.add(pool.submit(measured, folder, key, model))


def tell(folder: Path) -> None:
    """Print the figures of both caches, and their differences with intervals of 95 %, drawn over the takes."""
    rows = [json.loads(row) for row in (folder / "heard.jsonl").read_text().splitlines()]
    by = {kind: {row["key"]: row for row in rows if row["cache"] == kind} for kind in CACHES}
    groups = {"all": sorted(by["int8"].keys() & by["model"].keys())}
    groups |= {
        name: [key for key in groups["all"] if (key[0] == "e") == (name == "emotions")]
        for name in ("novels", "emotions")
    }
    drawn = np.random.default_rng(0)
    for name, keys in groups.items():
        if not keys:
            continue
        pairs = [[by[kind][key] for key in keys] for kind in CACHES]
        words = np.array([row["words"] for row in pairs[0]])
        samples = drawn.integers(len(keys), size=(4000, len(keys)))
        print(f"{name}: {len(keys)} takes of {words.sum()} words")
        for recognizer, most in (("whisper", np.inf), ("whisper", 1.0), ("sphinx", np.inf)):
            errors = np.array([[row[recognizer] for row in of_kind] for of_kind in pairs], dtype=float)
            errors = np.minimum(errors, most * words)
            before, now = errors.sum(axis=1) / words.sum()
            spread = ((errors[1] - errors[0])[samples].sum(axis=1)) / words[samples].sum(axis=1)
            low, high = np.quantile(spread, [0.025, 0.975])
            print(
                f"  word error by {recognizer}{'' if most > 1 else ', at most all words of a take'}: {before:.2%}, "
                f"{now:.2%}; difference {100 * (now - before):+.2f} points ({100 * low:+.2f} to {100 * high:+.2f})"
            )
        lengths = np.array([[row["frames"] for row in of_kind] for of_kind in pairs], dtype=float)
        ratio = lengths[1][samples].sum(axis=1) / lengths[0][samples].sum(axis=1)
        low, high = np.quantile(ratio, [0.025, 0.975])
        print(f"  length: {lengths[1].sum() / lengths[0].sum():.4f} times ({low:.4f} to {high:.4f})")
        pitches = np.array([[row["f0"] for row in of_kind] for of_kind in pairs])
        pitches = pitches[:, (pitches > 0).all(axis=0)]
        steps = 12 * np.log2(pitches[1] / pitches[0])
        error = 1.96 * steps.std(ddof=1) / len(steps) ** 0.5
        print(f"  pitch: {steps.mean():+.3f} semitones (+- {error:.3f})")
        for kind, of_kind in zip(CACHES, pairs, strict=True):
            kinds = Counter(problem for row in of_kind for problem in row["problems"])
            with_problems = sum(bool(row["problems"]) for row in of_kind)
            print(f"  {kind}: {100 * with_problems / len(keys):.1f} of 100 takes have problems: {dict(kinds)}")
        same = sum(one["frames"] == other["frames"] for one, other in zip(*pairs, strict=True))
        print(f"  {same} pairs have the same length")


def main() -> None:
    """Run the stage that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=["speak", "hear", "tell"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("texts", nargs="*", type=Path)
    parser.add_argument("--takes", type=int, default=600)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--recognizer", default="")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9)
    options = parser.parse_args()
    match options.stage:
        case "speak":
            speak(options.folder, options.texts, options.takes, options.device)
        case "hear":
            hear(options.folder, options.recognizer, options.processes, options.seconds)
        case _:
            tell(options.folder)


if __name__ == "__main__":
    main()
