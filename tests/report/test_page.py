"""The files of a report, and the page as a browser shows it."""

import html
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from maya_batch.audio.chapter_file import write_chapter
from maya_batch.audio.metadata import TrackTags
from maya_batch.audio.writers import CHAPTER_FORMATS, Target
from maya_batch.book.character_accounting import Characters
from maya_batch.book.store_check import CheckRow
from maya_batch.errors import MachineError
from maya_batch.quality import Problem
from maya_batch.report.audio_clip import PICTURE_HEIGHT, PICTURE_WIDTH, AudioClip, make_clip, read_clip
from maya_batch.report.files import write_report
from maya_batch.report.model import MOST_TAKES, Report, StoreCheck
from maya_batch.report.page import render_page
from tests.support.chromium import Page
from tests.support.listening import a_book
from tests.support.reports import a_night, chunk, report, voice

EVIL = "<script>alert(1)</script> \"'><img src=x onerror=alert(2)> &amp; ]]>"


#: Elements that are seen apart from what comes before, though no space is between them.
_APART = {"td", "th", "dt", "dd", "li", "p", "code", "button"}


class Reader(HTMLParser):
    """The tags of a page with their attributes, and its text outside style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words.append(" " if tag in _APART else "")
        self._hidden = tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def clip() -> AudioClip:
    return read_clip(make_clip(voice(), 24000))


def test_a_clip_sounds_like_its_wave_and_is_small(clip: AudioClip) -> None:
    import imageio_ffmpeg

    wave = voice()
    assert clip.seconds == pytest.approx(len(wave) / 24000, abs=0.1)
    assert len(clip.mp3) < 4.5 * 4000
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "pipe:0", "-f", "f32le", "-"]
    back = np.frombuffer(subprocess.run(command, input=clip.mp3, capture_output=True, check=True).stdout, np.float32)
    start = 1105  # samples by which LAME and a decoder are late
    shared = min(len(back) - start, len(wave))
    assert np.corrcoef(back[start : start + shared], wave[:shared])[0, 1] > 0.999


def test_the_same_wave_gives_the_same_clip(clip: AudioClip) -> None:
    assert make_clip(voice(), 24000) == clip.mp3


def heights(picture: str) -> list[float]:
    """How far the upper edge of a picture is above the middle, at each unit of its width."""
    points = [tuple(map(float, point.split())) for point in picture[1:-1].split("L")]
    assert len(points) == 2 * PICTURE_WIDTH
    assert all(0 <= y <= PICTURE_HEIGHT for _, y in points)
    return [PICTURE_HEIGHT / 2 - y for _, y in points[:PICTURE_WIDTH]]


def test_a_picture_shows_where_there_is_sound() -> None:
    silence, loud = np.zeros(24000, np.float32), np.full(24000, 0.8, np.float32) * np.sin(np.arange(24000) * 0.2)
    wave = np.concatenate([silence, loud, silence, loud / 4]).astype(np.float32)
    rows = np.array(heights(read_clip(make_clip(wave, 24000)).picture)).reshape(4, -1)[:, 8:-8].mean(axis=1)
    middle = PICTURE_HEIGHT / 2
    assert rows[[0, 2]].max() < 1
    assert rows[1] == pytest.approx(0.8 * middle, rel=0.1)
    assert rows[3] == pytest.approx(0.2 * middle, rel=0.1)


def test_the_shortest_of_waves_is_a_clip() -> None:
    heights(read_clip(make_clip(np.full(3, 0.5, np.float32), 24000)).picture)


@pytest.mark.parametrize(
    "wave", [[], [0.0, 1.1], [float("nan")], [[0.0, 0.1]]], ids=["empty", "too loud", "not a number", "two rows"]
)
def test_what_is_no_wave_is_no_clip(wave: list[float]) -> None:
    with pytest.raises(ValueError, match=r"samples not within|not one-dimensional"):
        make_clip(np.array(wave, np.float32), 24000)


@pytest.mark.parametrize("mp3", [b"", b"nothing of the kind" * 100])
def test_what_is_no_sound_is_no_clip(mp3: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_clip(mp3)


def test_a_missing_ffmpeg_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("not here")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", missing)
    with pytest.raises(MachineError, match="no ffmpeg found: not here"):
        make_clip(voice(), 24000)


def test_both_files_are_written_and_the_page_is_given_back(tmp_path: Path, clip: AudioClip) -> None:
    night = a_night()
    assert write_report(tmp_path, night, {"1:2": clip}) == tmp_path / "report.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["title"] == night.title


def test_the_report_leads_to_the_page_to_listen_by_where_there_is_one(tmp_path: Path) -> None:
    def links() -> list[str | None]:
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        return [link["href"] for link in Reader(page).named("a") if link["href"] == "./listen.html"]

    write_report(tmp_path, a_night(), {})
    assert links() == []
    write_report(tmp_path, a_night(), {}, listening=a_book())
    assert links() == ["./listen.html"]
    write_report(tmp_path, a_night(), {})  # as `check` does
    assert links() == ["./listen.html"]


def test_the_files_are_on_the_disk_before_they_have_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.html").write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("maya_batch.files.atomic_write.os.fsync", full)
    with pytest.raises(MachineError, match=r"report\.json: cannot be written: the disk is full"):
        write_report(tmp_path, a_night(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "old"


def test_a_path_that_is_no_text_does_no_harm(tmp_path: Path) -> None:
    book = b"b\xff.yaml".decode("utf-8", "surrogateescape")
    write_report(tmp_path, report(chunk(word_error=0.5), book=book), {})
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["book"] == book
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert r"maya-batch redo $'b\xff.yaml' 1:1@" in html.unescape(page)  # as a shell takes it


def test_the_page_tells_the_run_at_a_glance() -> None:
    text = Reader(render_page(a_night(), {})).text
    for part in (
        "Everything is rendered, some of it with problems",
        "all is rendered; 3 chunks have problems on record (exit code 3)",
        "hours of speech 10.25",
        "real time 31.2×",
        "retries 12",
        "chunks with problems 2",
        "cap 2 words 1",
        "From 24 November 2026, 22:30 to 25 November 2026, 06:12",
        "maya-research/maya1 (hf, bfloat16)",
    ):
        assert part in text


def test_the_page_accounts_for_every_character() -> None:
    night = a_night()
    text = Reader(render_page(night, {})).text
    found = re.search(
        r"heard spoken as written (\d+) .* unheard .* transcript (\d+) .* with problems spoken in .* problems (\d+) "
        r".* missing not spoken (\d+) .* waived .* manifest says (\d+) .* total (\d+)",
        text,
    )
    assert found is not None, text
    *parts, total = map(int, found.groups())
    assert sum(parts) == total == sum(len(each.text) for each in night.chunks)
    assert 0 not in parts


def test_the_bar_is_as_wide_as_the_book() -> None:
    rects = [rect for rect in Reader(render_page(a_night(), {})).named("rect") if "x" in rect]
    assert len(rects) == 5
    at = 0.0
    for rect in rects:
        assert float(rect["x"] or "") == pytest.approx(at, abs=0.02)
        at += float(rect["width"] or "")
    assert at == pytest.approx(1000, abs=0.05)


@pytest.mark.parametrize(
    ("number", "total", "shown"), [(1, 100_000, "under 0.1 %"), (99_999, 100_000, "over 99.9 %"), (1, 8, "12.5 %")]
)
def test_a_share_is_not_rounded_to_nothing_or_all(number: int, total: int, shown: str) -> None:
    counts = Characters(total, total - number, 0, number, 0, 0)
    page = render_page(report(characters=counts), {})
    assert f"spoken in takes with problems {number:,} {shown}" in Reader(page).text


def test_chapters_have_their_length_and_loudness() -> None:
    text = Reader(render_page(a_night(), {})).text
    assert "1 Part 1 1:01 −19.3 LUFS 111: 19 heard, 27 unheard, 65 with problems" in text


def test_what_is_not_spoken_is_named() -> None:
    gone = [chunk(f"1:{number}", attempt=0, attempts=0, word_error=None, heard=None) for number in range(1, 31)]
    text = Reader(render_page(report(*gone), {})).text
    assert "30 chunks are not rendered yet: 1:1, 1:2," in text
    assert "1:20 and 10 more" in text
    assert "maya-batch render books/lamp.yaml" in text


def test_a_take_has_its_text_its_sound_and_its_command(clip: AudioClip) -> None:
    page = render_page(a_night(), {"1:2": clip})
    reader = Reader(page)
    assert "1:2@a1b2 take 3 of 3, 25.6 s, word error 45 %" in reader.text
    assert "words: 4 of 11 words were not heard" in reader.text
    assert "<del>across the black water</del>" in page
    assert "<ins>rode</ins>" in page
    assert "an old man rode the ferry, ferry in nineteen eighty-four" in reader.text
    assert "maya-batch redo books/lamp.yaml 1:2@a1b2" in reader.text
    *chapters, audio = reader.named("audio")
    assert [player["src"] for player in chapters] == ["./01-part.mp3", "./02-part.mp3"]
    assert (audio["src"] or "").startswith("data:audio/mpeg;base64,")
    assert [path["d"] for path in reader.named("path")] == [clip.picture]
    assert reader.text.count("The sound of this take is not in the report.") == 2


def test_the_command_is_one_a_shell_takes_as_it_is_meant() -> None:
    name = "my books/it's $HOME `x`.yaml"
    page = render_page(report(chunk("3:17", word_error=0.5), book=name), {})
    [command] = re.findall(r"<code tabindex=\"0\">(.*?)</code>", page)
    assert shlex.split(html.unescape(command)) == ["maya-batch", "redo", name, "3:17@a1b2"]


def test_at_most_so_many_takes_are_shown_and_the_rest_is_counted(clip: AudioClip) -> None:
    chunks = [chunk(f"1:{number}", word_error=0.5) for number in range(1, MOST_TAKES + 8)]
    reader = Reader(render_page(report(*chunks), {each.ref: clip for each in chunks}))
    assert len([player for player in reader.named("audio") if (player["src"] or "").startswith("data:")]) == MOST_TAKES
    assert "The 50 worst of 57: 7 more are in report.json, without sound." in reader.text


def test_where_all_is_well_the_page_says_so() -> None:
    text = Reader(render_page(report(chunk(), exit_code=0, exit_reason="the book is whole"), {})).text
    assert "The book is complete" in text
    assert "No take has problems or word errors." in text
    assert "Problems by kind" not in text


def test_the_page_has_the_check_for_a_store() -> None:
    assert "Requirements of" not in Reader(render_page(a_night(), {})).text
    bad = CheckRow("01.mp3", "RMS", "-30.0 dB", "-23 to -18 dB", False, "set `master: store`")
    good = CheckRow("", "cover", "there", "a cover", True, "")
    text = Reader(render_page(report(chunk(), check=StoreCheck("acx-form", False, "A note", (good, bad))), {})).text
    assert "Requirements of acx-form" in text
    assert "Not met: 1 of 2 requirements. A note." in text
    assert re.search(r"01\.mp3\s+RMS\s+-30\.0 dB\s+-23 to -18 dB\s+fail: set `master: store`", text)
    assert text.index("fail:") < text.index("Requirements that are met") < text.index("the book cover")
    text = Reader(render_page(report(chunk(), check=StoreCheck("spotify", True, "", (good,))), {})).text
    assert "All requirements are met." in text


def evil() -> Report:
    """A report all of whose texts were written by somebody who means harm."""
    bad = chunk("1:1", EVIL, problems=(Problem(EVIL, EVIL),), word_error=0.5, heard=f"{EVIL} more", unheard=(0,))
    made = report(bad, title=EVIL, author=EVIL, book=EVIL, model=EVIL, engine=EVIL, exit_reason=EVIL, version=EVIL)
    chapter = made.chapters[0]
    changed = type(chapter)(1, EVIL, f"javascript:{EVIL}", 1.0, None, chapter.characters)
    check = StoreCheck(EVIL, False, EVIL, (CheckRow(EVIL, EVIL, EVIL, EVIL, False, EVIL),))
    changes = {"chapters": (changed,), "language": '"><script>', "check": check}
    return report(*made.chunks, **(vars(made) | changes))


def test_texts_of_anybody_are_shown_and_never_run() -> None:
    page = render_page(evil(), {})
    reader = Reader(page)
    assert reader.text.count("<script>alert(1)</script>") >= 8
    assert len(reader.named("script")) == 1
    assert not reader.named("img")
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    [link] = reader.named("a")
    assert (link["href"] or "").startswith("./javascript%3A")


def test_the_page_needs_nothing_but_itself(clip: AudioClip) -> None:
    reader = Reader(render_page(a_night(), {"1:2": clip}))
    assert not {"link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in reader.tags}
    sources = [value or "" for _, attributes in reader.tags for name, value in attributes.items() if name == "src"]
    assert sources
    assert all(source.startswith(("data:audio/mpeg;base64,", "./")) for source in sources)
    [policy] = [meta["content"] for meta in reader.named("meta") if "http-equiv" in meta]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_importing_the_report_loads_no_heavy_library() -> None:
    check = "import sys, maya_batch.report.files; print({'jinja2', 'scipy', 'pyloudnorm', 'torch'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert (said.stdout, said.stderr) == ("set()\n", "")


LOADED = """Promise.all([...document.querySelectorAll(".take audio")].map(player => new Promise((good, bad) => {
    if (player.readyState) good(player.duration);
    player.onloadedmetadata = () => good(player.duration);
    player.onerror = () => bad(player.error.message);
})))"""


def test_a_browser_shows_the_page_and_plays_its_takes(page: Page, tmp_path: Path, clip: AudioClip) -> None:
    page.open(write_report(tmp_path, a_night(), {"1:2": clip, "2:3": clip}))
    text = page.evaluate("document.body.innerText")
    assert "The Lamp on the Water" in text
    assert "1:2@a1b2" in text
    assert page.evaluate(LOADED) == pytest.approx([clip.seconds] * 2, abs=0.1)
    assert page.evaluate("document.querySelector('.take audio').play().then(() => 'plays')") == "plays"
    asked = [request["request"]["url"] for request in page.of("Network.requestWillBeSent")]
    assert all(url.startswith(("file:", "data:")) for url in asked), asked
    assert not page.of("Log.entryAdded")  # where the page's policy would say that it has refused something
    assert not page.of("Runtime.exceptionThrown")


@pytest.mark.parametrize("kind", CHAPTER_FORMATS)
def test_a_browser_plays_a_chapter_of_each_format(page: Page, tmp_path: Path, kind: str) -> None:
    made = report(chunk())
    chapter = replace(made.chapters[0], file=f"Author/A Title/01-part.{kind}")
    target = Target(tmp_path / str(chapter.file), kind)
    write_chapter([bytes(48000)], [target], TrackTags("One", "Book", "", 1, 1, "x"))
    page.open(write_report(tmp_path, replace(made, chapters=(chapter,)), {}))
    assert page.evaluate("document.querySelector('th audio').play().then(() => 'plays')") == "plays"
    assert page.evaluate("document.querySelector('th audio').duration") == pytest.approx(1.0, abs=0.1)
    assert not page.of("Log.entryAdded")


def test_the_button_takes_the_command(page: Page, tmp_path: Path) -> None:
    page.open(write_report(tmp_path, a_night(), {}))
    page.evaluate("document.querySelector('.take button').focus()")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text="\r")
    label = page.evaluate(
        "new Promise(done => { const see = () => { const label = document.querySelector('.take button').innerText;"
        " label.split(/\\s/)[0] === 'Copy' ? setTimeout(see, 20) : done(label); }; see(); })"
    )
    assert label.split()[0] in ("Copied", "Selected")
    assert page.evaluate("String(getSelection())") == "maya-batch redo books/lamp.yaml 1:2@a1b2"


def test_a_browser_runs_nothing_that_a_text_holds(page: Page, tmp_path: Path) -> None:
    page.open(write_report(tmp_path, evil(), {}))
    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert "<script>alert(1)</script>" in page.evaluate("document.querySelector('h1').innerText")
    assert not page.of("Page.javascriptDialogOpening")
    assert not page.of("Log.entryAdded")


def test_long_words_do_not_push_the_page_off_its_screen(page: Page, tmp_path: Path) -> None:
    long = "Donaudampfschiff" * 20
    bad = chunk("1:1", long, problems=(Problem(long, long),), word_error=0.5, heard=long)
    made = report(bad, title=long, author=long, book=long, model=long, engine=long, exit_reason=long)
    chapter = type(made.chapters[0])(1, long, f"{long}.mp3", 36000.0, -19.0, made.characters)
    page.open(write_report(tmp_path, report(*made.chunks, **(vars(made) | {"chapters": (chapter,)})), {}))
    for width in (320, 700):
        page.look(width)
        assert page.overflow() == 0


def colours(page: Page) -> tuple[int, int]:
    """How bright the page's paper and ink are, 0 to 765."""
    script = "['backgroundColor', 'color'].map(name => getComputedStyle(document.documentElement)[name])"
    paper, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in page.evaluate(script))
    return paper, ink


@pytest.mark.parametrize("width", [320, 1100])
def test_the_page_fits_its_screen_by_day_and_by_night(page: Page, tmp_path: Path, clip: AudioClip, width: int) -> None:
    page.open(write_report(tmp_path, a_night(), {"1:2": clip}))
    for dark in (False, True):
        picture = page.look(width, dark)
        (tmp_path / f"{width}-{dark}.png").write_bytes(picture)
        assert picture.startswith(b"\x89PNG")
        assert page.overflow() == 0
        paper, ink = colours(page)
        assert (paper < 150 and ink > 600) if dark else (paper > 600 and ink < 150)


def test_all_that_can_be_used_is_reached_by_the_keyboard(page: Page, tmp_path: Path, clip: AudioClip) -> None:
    page.open(write_report(tmp_path, a_night(), {"1:2": clip}))
    wanted = page.evaluate("document.querySelectorAll('a, button, audio, code, summary').length")
    script = "[...document.querySelectorAll('a, button, audio, code, summary')].filter(it => it.tabIndex === 0).length"
    assert wanted == page.evaluate(script) == 2 + 2 + 4 + 1 + 4 + 3
