"""An author finds three planted bad chunks with listen.html and has them mended: the minutes that this takes.

    python -m tests.measure.proof_listening FOLDER [--copies N] [--hear tiny.en]

The chapters of the two demo books are spoken by the demo voice into FOLDER; for a longer book they come N times, with
the same takes. Three takes are then replaced: by one of another text, one without its tail, and one that says a
stretch twice. The rest is done in a browser and by the script that the page saves, until no chunk is flagged. Each take
is played to its end, as a person would hear it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml

from maya_batch.book.plan import make_plan
from maya_batch.book.settings import Machine
from maya_batch.book.state import BookState, book_state
from maya_batch.manifest import Render
from tests.run.test_listening import data_of
from tests.support.chromium import Page, browser, until
from tests.support.demo import MANIFESTS

ROUNDS = 5
"""The most times that the author marks, mends and listens again."""


def main() -> None:
    """Render, plant, find and mend; print what each part took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--hear", help="the recognizer's name or folder")
    options = parser.parse_args()
    flags = ["--verify", "all", "--recognizer", options.hear] if options.hear else ["--verify", "off"]
    figures: dict[str, object] = {}

    start = time.monotonic()
    manifest = write_manifest(options.folder, 1)
    maya("render", manifest, *flags)
    manifest = write_manifest(options.folder, options.copies)
    share_takes(state_of(manifest))
    maya("render", manifest, *flags)
    figures["render_s"] = time.monotonic() - start
    planted = plant(state_of(manifest))
    maya("render", manifest, *flags)
    output = manifest.with_suffix("")
    chapters = data_of(output)["chapters"]
    sentences = [each for chapter in chapters for chunk in chapter["chunks"] for each in chunk["sentences"]]
    figures |= {"audio_minutes": sum(end - start for _, start, end, _ in sentences) / 60, "planted": planted}
    figures["flagged"] = flagged(output)

    listening = mending = 0.0
    for number in range(1, ROUNDS + 1):
        if not flagged(output):
            break
        start = time.monotonic()
        with TemporaryDirectory() as own, browser(Path(own) / "profile", patience=1800) as page:
            script = mark_flagged(page, output, options.folder / f"saved-{time.time_ns()}")
        listening += time.monotonic() - start
        start = time.monotonic()
        run_script(script, flags)
        mending += time.monotonic() - start
        figures["rounds"] = number
    figures |= {"listening_s": listening, "mending_s": mending, "flagged_in_the_end": flagged(output)}
    print(json.dumps({name: round(it, 1) if isinstance(it, float) else it for name, it in figures.items()}))


def write_manifest(folder: Path, copies: int) -> Path:
    """A book of the chapters of both demo books."""
    books = [yaml.safe_load((MANIFESTS / name).read_text(encoding="utf-8")) for name in ("demo.yaml", "emotions.yaml")]
    chapters = []
    for copy in range(copies):
        for book in books:
            own = {"voice": book.get("voice", next(iter(book["voices"])))}
            chapters += [own | chapter | {"title": f"{chapter['title']} {copy + 1}"} for chapter in book["chapters"]]
    whole = {
        "title": "Two Stories",
        "voices": books[0]["voices"] | books[1]["voices"],
        "render": {"model": "demo", "chunk_words": 20, "attempts": 1},
        "output": {"formats": ["mp3"]},
        "chapters": chapters,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "stories.yaml"
    path.write_text(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def maya(*words: object) -> None:
    """Run a command; a book with problems is no error."""
    done = subprocess.run([sys.executable, "-m", "maya_batch", *map(str, words)], capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr


def state_of(manifest: Path) -> BookState:
    """The book on the disk."""
    return book_state(make_plan(manifest, Render()), Machine())


def share_takes(state: BookState) -> None:
    """Give chunks without a take those of the chunk that says the same."""
    spoken = {(chunk.voice, chunk.text): take for chunk in state.plan.chunks() if (take := state.take(chunk))}
    for chunk in state.plan.chunks():
        if state.take(chunk) is None:
            take = spoken[chunk.voice, chunk.text]
            state.store.put([replace(take, key=state.key(chunk), attempt=1, codes=np.asarray(take.codes))])


def plant(state: BookState) -> dict[str, str]:
    """Replace three good takes by bad ones; returns the kinds of faults by ref."""
    whole = [chunk for chunk in state.plan.chunks() if not state.problems_of(chunk) and not state.chosen(chunk)]
    chunks = [chunk for chunk in whole if chunk.words >= 10]
    chosen = [chunks[len(chunks) * part // 4] for part in (1, 2, 3)]
    takes = [take for chunk in chosen if (take := state.take(chunk)) is not None]
    others = [chunk for chunk in chunks if chunk.voice == chosen[0].voice and chunk.text != chosen[0].text]
    other = state.take(others[0])
    assert other is not None
    codes = [np.asarray(take.codes) for take in takes]
    third = len(codes[2]) // 3
    faults = {
        "another text": np.asarray(other.codes),
        "tail cut off": codes[1][: -len(codes[1]) // 3],
        "repetition": np.concatenate((codes[2][: 2 * third], codes[2][third:])),
    }
    for take, bad in zip(takes, faults.values(), strict=True):
        state.store.put([replace(take, codes=bad, examined=False, transcript=None, quiet=None)])
    return {chunk.ref: kind for chunk, kind in zip(chosen, faults, strict=True)}


def flagged(output: Path) -> list[str]:
    """The refs of flagged chunks, as the page has them."""
    chunks = [chunk for chapter in data_of(output)["chapters"] for chunk in chapter["chunks"]]
    return [chunk["name"].partition("@")[0] for chunk in chunks if chunk["flagged"]]


def mark_flagged(page: Page, output: Path, saved: Path) -> Path:
    """Go through the flagged chunks, hear the last take of each, mark it `again`, and save the script."""
    page.open_again(output / "listen.html")
    for _ in flagged(output):
        page.press("j")
        page.evaluate("playTake(shown, shown.takes.at(-1))")
        until(lambda: page.evaluate("takePlayer.ended"))
        page.press("m", "a")
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
    page.evaluate("find('export-script').click()")
    script = saved / "redo.sh"
    until(lambda: script.is_file() and script.stat().st_size)
    return script


def run_script(script: Path, flags: Sequence[str]) -> None:
    """Run it where `maya-batch` is this program, with `flags`."""
    program = script.with_name("maya-batch")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m maya_batch "$@" {" ".join(flags)}\n', encoding="utf-8")
    program.chmod(0o755)
    env = os.environ | {"PATH": f"{script.parent}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(script)], env=env, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr


if __name__ == "__main__":
    main()
