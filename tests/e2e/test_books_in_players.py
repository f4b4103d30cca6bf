"""The M4B of the demo book and of an imported novel, as players read it: by mutagen, by ffprobe and in a browser."""

import json
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from maya_batch.audio.adts import AacStream, read_stream
from maya_batch.audio.m4b import chapter_starts
from maya_batch.book.settings import Machine
from maya_batch.checkpoint.token_layout import read_layout
from maya_batch.manifest.audio_formats import CHOICES
from maya_batch.run.render import render_book
from tests.audio.test_chapter_file import decoded
from tests.audio.test_m4b import png
from tests.e2e.test_cli import Cli
from tests.support.chromium import Page
from tests.support.demo import MANIFESTS
from tests.support.epubs import write_epub, xhtml
from tests.support.fakes import LAYOUT, Events, FakeEngine, TinyBook
from tests.support.ffprobe import lower_tags, needs_ffprobe, probe

RATE = 24000
ABOUT: dict[str, object] = {
    "subtitle": "A Tale",
    "narrator": "A synthesized voice",
    "publisher": "A House",
    "date": "1895-05",
    "isbn": "9783161484100",
    "description": "Two lines,\nof some kind.",
    "series": {"name": "Lamps", "number": 2.5},
    "cover": "cover.png",
}


def of_demo(tiny: TinyBook, _: Cli) -> None:
    tiny.path.write_text((MANIFESTS / "demo.yaml").read_text(encoding="utf-8"), encoding="utf-8")


def of_novel(tiny: TinyBook, cli: Cli) -> None:
    """An EPUB of 15 chapters, imported."""
    names = [f"Chapter {number}: “The {number}th Night” & More" for number in range(1, 16)]
    bodies = {}
    for number, name in enumerate(names, 1):
        texts = [f"The night of day {number} was {word}, and no man came." for word in ("cold", "late")]
        paragraphs = "".join(f"<p>{text}</p>" for text in texts)
        bodies[f"c{number}.xhtml"] = xhtml(f"<h1>{name.replace('&', '&amp;')}</h1>{paragraphs}")
    write_epub(tiny.folder / "novel.epub", bodies)
    assert cli("import", tiny.folder / "novel.epub", "-o", tiny.folder / "novel").code == 0
    for path in (tiny.folder / "novel").iterdir():
        path.rename(tiny.folder / path.name)


@pytest.fixture(params=[of_demo, of_novel])
def book(request: pytest.FixtureRequest, tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> TinyBook:
    """A rendered book with all tags, as M4B and WAV."""
    tokens = LAYOUT | {"tags": ["gasp", "giggle", "laugh", "sigh"]}
    (tiny.folder / "lm" / "maya_tokens.json").write_text(json.dumps(tokens), encoding="utf-8")
    fake_engine.layout = read_layout(tiny.folder / "lm")
    fake_engine.known_tags = fake_engine.layout.tags
    request.param(tiny, cli)
    data = yaml.safe_load(tiny.path.read_text(encoding="utf-8"))
    data |= ABOUT | {"render": {"model": "./lm", "codec": "./codec"}, "output": {"formats": ["m4b", "wav"]}}
    tiny.path.write_text(yaml.safe_dump(data), encoding="utf-8")
    (tiny.folder / "cover.png").write_bytes(png(64))
    render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    return tiny


def m4b_of(book: TinyBook) -> Path:
    [path] = (book.output).glob("*.m4b")
    return path


def streams_of(book: TinyBook) -> list[AacStream]:
    return [read_stream(path) for path in sorted((book.output / ".maya" / "m4b").iterdir())]


@needs_ffprobe
def test_ffprobe_and_mutagen_read_all_chapters_where_they_sound(book: TinyBook) -> None:
    from mutagen.mp4 import MP4

    plan, path = book.plan(), m4b_of(book)
    titles = [chapter.title for chapter in plan.chapters]
    starts = [start / RATE for start in chapter_starts(streams_of(book))][:-1]
    told, file = probe(path), MP4(path)
    assert [mark["tags"]["title"] for mark in told["chapters"]] == titles
    assert [float(mark["start_time"]) for mark in told["chapters"]] == pytest.approx(starts, abs=0.02)
    assert [mark.title for mark in file.chapters] == titles
    assert [mark.start for mark in file.chapters] == pytest.approx(starts, abs=0.02)
    # mutagen counts the first frame of the coder, which has no sound and which players leave out.
    assert float(told["format"]["duration"]) == pytest.approx(file.info.length, abs=0.05)

    # Each stream is longer than the sound of its chapter, by the coder's first frame and the rest of its last one.
    for chapter, stream in zip(plan.chapters, streams_of(book), strict=True):
        with wave.open(str(book.output / f"{chapter.stem}.wav")) as wav:
            assert 1 <= stream.frames - wav.getnframes() / 1024 <= 2

    sound = np.abs(decoded(path).astype(np.int32))
    for start in starts[1:]:
        first = round((start - 0.02) * RATE)
        onset = first + int(np.argmax(sound[first : first + 2 * RATE] > 1000))
        assert onset / RATE - plan.pauses.chapter_start == pytest.approx(start, abs=0.02)


@needs_ffprobe
def test_audiobookshelf_finds_all_that_the_manifest_says(book: TinyBook) -> None:
    from mutagen.mp4 import MP4

    plan = book.plan()
    found = lower_tags(probe(m4b_of(book)))
    wanted = {
        "title": plan.book.title,
        "album": plan.book.title,
        "artist": plan.book.author,
        "album_artist": plan.book.author,
        "composer": "A synthesized voice",
        "subtitle": "A Tale",
        "publisher": "A House",
        "date": "1895-05",
        "isbn": "9783161484100",
        "description": "Two lines,\nof some kind.",
        "series": "Lamps",
        "series-part": "2.5",
        "genre": "Audiobook",
        "language": plan.book.language,
        "media_type": "2",
    }
    assert {name: found.get(name) for name in wanted} == wanted
    [cover] = MP4(m4b_of(book))["covr"]
    assert bytes(cover) == png(64)


# --- a browser -----------------------------------------------------------------------------------------------------


LOADED = """Promise.all([...document.querySelectorAll("audio")].map(player => new Promise(told => {
    const done = () => told([player.duration, player.error && player.error.message]);
    player.onloadedmetadata = done;
    player.onerror = done;
    if (player.readyState || player.error) done();
})))"""
PLAYED = """(async () => { const player = document.querySelectorAll("audio")[INDEX]; player.muted = true;
    await player.play(); player.currentTime = player.duration - 0.2;
    return await new Promise(told => { player.onended = () => told("ended");
        player.onerror = () => told(player.error.message); }); })()"""


def test_a_browser_plays_a_file_of_each_format_to_its_end(tiny: TinyBook, fake_engine: FakeEngine, page: Page) -> None:
    from tests.e2e.test_assemble import TEXT

    (tiny.folder / "cover.png").write_bytes(png(64))
    tiny.write(TEXT, output={"formats": list(CHOICES)}, cover="cover.png", pauses={"chapter_end": 1.5})
    render_book(tiny.plan(), Machine(), Events(), loaders=tiny.loaders)
    paths = [next(iter(sorted(tiny.output.glob(f"*.{kind}")))) for kind in CHOICES]
    wav = float((paths[0].stat().st_size - 44) / 2 / RATE)
    players = "".join(f'<audio preload="metadata" src="{path.name}"></audio>' for path in paths)
    (tiny.output / "players.html").write_text(f"<!doctype html>{players}", encoding="utf-8")
    page.open(tiny.output / "players.html")
    told: Mapping[str, Any] = dict(zip(CHOICES, page.evaluate(LOADED), strict=True))
    whole = sum(read_stream(path).seconds for path in (tiny.output / ".maya" / "m4b").iterdir())
    for kind, (seconds, error) in told.items():
        assert error is None, kind
        assert seconds == pytest.approx(whole if kind == "m4b" else wav, abs=0.1), kind
    for index in range(len(paths)):
        assert page.evaluate(PLAYED.replace("INDEX", str(index))) == "ended", paths[index].name
