import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maya_batch.errors import ManifestError
from maya_batch.manifest import (
    Format,
    Manuscript,
    Pauses,
    file_stem,
    json_schema,
    output_folder,
    read_manuscript,
)
from maya_batch.manifest.one_line import is_hub_id
from tests.support.properties import examples

HEAD = "title: T\nvoices: {anna: A voice, tom: Another}\n"
CHAPTERS = "chapters:\n  - {title: One, text: Hello.}\n"
BOOK = HEAD + CHAPTERS
FULL = """\
title: 1984
author: George Orwell
language: en-GB
voices:
  anna: &voice
    description: >
      Realistic female voice,
      calm
    seed: 7
  Old Tom: Low male voice
voice: anna
chapters:
  - title: The Ferry
    text: |
      One.

      Two.
  - title: No Way
    file: texts/two.txt
    voice: Old Tom
pauses:
  sentence: 0.3
output:
  folder: audio
  formats: [wav, mp3]
render:
  model: org/name@v1
  codec: ./models/snac
  temperature: 0.4
  seed: 0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The manifest's folder, which is the current one too."""
    folder = tmp_path / "book"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def read(text: str | bytes) -> tuple[Manuscript | None, list[str]]:
    """Write book.yaml and read it; findings as lines, sorted by place."""
    Path("book.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    manuscript, findings = read_manuscript(Path("book.yaml"))
    return manuscript, [str(finding) for finding in ManifestError(findings).findings]


def sound(text: str) -> Manuscript:
    manuscript, findings = read(text)
    assert findings == []
    assert manuscript is not None
    return manuscript


def only(text: str | bytes) -> str:
    _, findings = read(text)
    assert len(findings) == 1, findings
    return findings[0]


def test_a_full_book(folder: Path) -> None:
    (folder / "texts").mkdir()
    (folder / "texts" / "two.txt").write_bytes(
        b"\xef\xbb\xbfFirst\r\nline\r\n\r\nAnd \xe2\x80\x9csecond\xe2\x80\x9d\r\n"
    )
    manuscript = sound(FULL)
    book = manuscript.book
    assert (book.title, book.author, book.language) == ("1984", "George Orwell", "en-GB")
    assert book.voices["anna"].description == "Realistic female voice, calm"
    assert (book.voices["anna"].seed, book.voices["Old Tom"].seed) == (7, None)
    assert book.pauses == Pauses(sentence=0.3)
    assert book.output.formats == (Format(type="wav"), Format(type="mp3", bitrate="64k"))
    assert (book.render.model, book.render.codec) == ("org/name@v1", "./models/snac")
    assert (book.render.temperature, book.render.seed, book.render.top_p) == (0.4, 0, None)
    assert (manuscript.path, manuscript.folder) == (Path("book.yaml"), folder.resolve())
    one, two = manuscript.chapters
    assert (one.number, one.title, one.slug, one.voice) == (1, "The Ferry", "the-ferry", "anna")
    assert one.text == "One.\n\nTwo.\n"
    assert one.place(one.text.index("Two")) == ("book.yaml", 17, 7)
    assert (two.number, two.slug, two.voice) == (2, "no-way", "Old Tom")
    assert two.text == "First\nline\n\nAnd “second”\n"
    assert two.place(two.text.index("second")) == ("texts/two.txt", 4, 6)


def test_the_defaults(folder: Path) -> None:
    manuscript = sound(BOOK + "pauses:\noutput:\nrender:\nauthor:\n")
    book = manuscript.book
    assert (book.author, book.language, book.voice) == ("", "en", None)
    assert manuscript.chapters[0].voice == "anna"
    assert book.pauses.model_dump(exclude_none=True) == {}
    assert book.output.formats == (Format(type="wav"),)
    assert set(book.render.model_dump().values()) == {None}


BAD_KEYS = [
    ("titel: T\n" + BOOK, "1:1: unknown key 'titel'; did you mean `title`? allowed here: title, auth"),
    (BOOK + "pauses: {sentense: 1}\n", "5:10: unknown key 'sentense'; did you mean `sentence`? allo"),
    (BOOK + "master: {even_voices: on}\n", "5:9: `master` has no level; name a preset"),
    (BOOK + "master: {lufs: loud}\n", "5:16: `lufs` must be a number, not 'loud'"),
    (BOOK + "master: {lufs: -20, rms: -20}\n", "5:21: `master` has both `lufs` and `rms`; remove one"),
    (
        BOOK + "master: {rms: -20, tru_peak: -2}\n",
        "5:20: unknown key 'tru_peak'; did you mean `true_peak`?",
    ),
    (BOOK + "output: {x: 1}\n", "5:10: unknown key 'x'; allowed here: folder, formats, layout"),
    (BOOK.replace("text:", "voise: tom, text:"), "4:18: unknown key 'voise'; did you mean `voice`?"),
    (BOOK + "render: {top_k: 3}\n", "5:10: unknown key 'top_k'; did you mean `top_p`? allowed here: m"),
    ("voices: {a: b}\n" + CHAPTERS, "1:1: `title` is missing; add `title:`"),
    ("title: T\n" + CHAPTERS, "1:1: `voices` is missing"),
    (HEAD, "1:1: `chapters` is missing"),
    (BOOK.replace("title: One, ", ""), "4:5: `title` is missing"),
    (BOOK.replace(", text: Hello.", ""), "4:5: the chapter has neither `text` nor `file`; add one"),
    (BOOK.replace("Hello.", "a, file: b"), "4:27: the chapter has both `text` and `file`; remove one"),
]
BAD_VALUES = [
    (BOOK.replace("T\n", "\n"), "1:7: `title` is empty"),
    (BOOK.replace("T\n", "[a]\n"), "1:8: `title` must be text, not a list"),
    (BOOK.replace("T\n", '"a\\uffff"\n'), "1:8: `title` contains the control character U+FFFF"),
    (BOOK.replace("T\n", '"a\\tb"\n'), "1:8: `title` contains the control character U+0009"),
    (BOOK.replace("T\n", '"a\\nb"\n'), "1:8: `title` must be one line"),
    (BOOK.replace("T\n", '" "\n'), "1:8: `title` is empty"),
    (BOOK + "language: english\n", "5:11: 'english' is not a language code; write one like `en`"),
    (BOOK + "language: en_GB\n", "5:11: 'en_GB' is not a language code"),
    (HEAD + "chapters: []\n", "3:11: `chapters` is empty; add at least one"),
    (HEAD + "chapters: x\n", "3:11: `chapters` must be a list (lines that begin with `- `), not 'x'"),
    (HEAD + CHAPTERS + "  - x\n", "5:5: item 2 of `chapters` must be a mapping"),
    ("title: T\nvoices: {}\n" + CHAPTERS, "2:9: `voices` is empty; add at least one"),
    ("title: T\nvoices: x\n" + CHAPTERS, "2:9: `voices` must be a mapping"),
    ("title: T\nvoices: {a: }\n" + CHAPTERS, "2:13: `a` is empty; it must be a description of the voice"),
    ("title: T\nvoices: {'[a]': x}\n" + CHAPTERS, "2:10: '[a]' is not a valid voice name; begin with a letter"),
    ("title: T\nvoices: {1a: x}\n" + CHAPTERS, "2:10: '1a' is not a valid voice name"),
    ("title: T\nvoices: {'a ': x}\n" + CHAPTERS, "2:10: 'a ' is not a valid voice name"),
    (f"title: T\nvoices: {{{'a' * 41}: x}}\n" + CHAPTERS, "2:10: 'aaaa"),
    ("title: T\nvoices: {a: 'x \"y'}\n" + CHAPTERS, '2:13: `description` contains ", which would end'),
    ("title: T\nvoices: {a: {description: x <y}}\n" + CHAPTERS, "2:27: `description` contains <, which"),
    ('title: T\nvoices: {a: "x\\ny"}\n' + CHAPTERS, "2:13: `description` must be one line; for a long line"),
    ("title: T\nvoices: {a: ''}\n" + CHAPTERS, "2:13: `description` is empty"),
    (f"title: T\nvoices: {{a: {'x' * 1001}}}\n" + CHAPTERS, "2:13: `description` has 1001 characters"),
    ("title: T\nvoices: {a: {description: x, seed: -1}}\n" + CHAPTERS, "2:36: `seed` must be at least 0"),
    (BOOK + "pauses: {sentence: -0.1}\n", "5:20: `sentence` must be at least 0, not -0.1"),
    (BOOK + "pauses: {sentence: 61}\n", "5:20: `sentence` must be at most 60, not 61"),
    (BOOK + "pauses: {sentence: nan}\n", "5:20: `sentence` must be a finite number, not 'nan'"),
    (BOOK + "pauses: {sentence: long}\n", "5:20: `sentence` must be a number, not 'long'"),
    (BOOK + "pauses: 3\n", "5:9: `pauses` must be a mapping"),
    (BOOK + "render: {quality: {shortes: 1}}\n", "5:20: unknown key 'shortes'; did you mean `shortest`? allow"),
    (BOOK + "render: {quality: {shortest: 2}}\n", "5:30: `shortest` must be at most 1, not 2"),
    (BOOK + "render: {quality: high}\n", "5:19: `quality` must be a mapping"),
    (BOOK + "output: {formats: mp3}\n", "5:19: `formats` must be a list (lines that begin with `- `), not"),
    (BOOK + "output: {formats: []}\n", "5:19: `formats` is empty"),
    (BOOK + "output: {formats: [wav, wave]}\n", "5:25: `type` cannot be 'wave'; did you mean `wav`?"),
    (BOOK + "output: {formats: [mp3, wav, mp3]}\n", "5:19: `formats` lists the format mp3 twice"),
    (BOOK + "output: {formats: [{type: mp3, bitrate: 65k}]}\n", "5:41: '65k' is not a bitrate; write one of 8k"),
    (BOOK + "sample: {chapter: 2}\n", "5:19: the book has no chapter 2; write a number from 1 to 1"),
    (BOOK + "output: {formats: [wav, mp3], layout: audiobookshelf}\n", "5:31: `layout` audiobookshelf takes one"),
    (BOOK + "output: {formats: [{type: wav, bitrate: 64k}]}\n", "5:32: `bitrate` does not apply to wav"),
    (BOOK + "output: {formats: [{type: opus, sample_rate: 48000}]}\n", "5:33: `sample_rate` does not apply to opus"),
    (BOOK + "output: {formats: [{type: m4b, mode: vbr}]}\n", "5:32: `mode` does not apply to m4b"),
    (BOOK + "output: {formats: [{type: m4a, sample_rate: 1}]}\n", "5:32: `sample_rate` of m4a cannot be 1; write"),
    (
        BOOK + "output: {formats: [{type: mp3, bitrate: 192k, sample_rate: 24000}]}\n",
        "5:32: `bitrate` of mp3 cannot be 192k at 24000 Hz; write one of 8k, 16k",
    ),
    (BOOK + "render: {chunk_words: 4}\n", "5:23: `chunk_words` must be at least 5, not 4"),
    (BOOK + "render: {chunk_words: 9.5}\n", "5:23: `chunk_words` must be a whole number, not '9.5'"),
    (BOOK + "render: {temperature: 2.1}\n", "5:23: `temperature` must be at most 2, not 2.1"),
    (BOOK + "render: {top_p: 0}\n", "5:17: `top_p` must be more than 0, not 0"),
    (BOOK + "render: {repetition_penalty: 0.9}\n", "5:30: `repetition_penalty` must be at least 1"),
    (BOOK + "render: {max_tokens: 55}\n", "5:22: `max_tokens` must be at least 56, not 55"),
    (BOOK + f"render: {{seed: {2**63}}}\n", f"5:16: `seed` must be at most {2**63 - 1}, not"),
]  # fmt: skip
BAD_NAMES = [
    (BOOK + "voice: ana\n", "5:8: unknown voice 'ana'; did you mean `anna`? the book's voices: anna, tom"),
    (BOOK.replace("text:", "voice: no, text:"), "4:25: unknown voice 'no'; the book's voices: anna"),
    (BOOK.replace("text:", "skip: x, text:"), "4:3: each of the chapters is skipped, so there is nothing to render"),
    (BOOK.replace("text:", "skip: [x], text:"), "4:24: `skip` must be true, false or a line of text, not a list"),
    (BOOK.replace("text:", "skip: '', text:"), "4:24: `skip` is empty"),
    (BOOK.replace("text:", "announce: {x: y}, text:"), "4:28: `announce` must be true, false or a line of text, not a"),
    (BOOK.replace("text:", "part: [x], text:"), "4:24: `part` must be text, not a list"),
    (BOOK + "announce: maybe\n", "5:11: `announce` must be true or false, not 'maybe'"),
    (BOOK + "series: [x]\n", "5:9: `series` must be the name of a series, or a mapping with a `name:`, not a list"),
    (BOOK + "series: {number: 2}\n", "5:9: `name` is missing"),
    (BOOK + "series: {name: x, number: two}\n", "5:27: `number` must be a number, not 'two'"),
    (BOOK + "series: {name: x, no: 2}\n", "5:19: unknown key 'no'; allowed here: name, number"),
    (BOOK + "date: 1895-02-30\n", "5:7: '1895-02-30' is not a date; write a year, a month or a day: 1895, 1895-05"),
    (BOOK + "date: May 1895\n", "5:7: 'May 1895' is not a date"),
    (BOOK + "isbn: 978-3-16-148410-1\n", "5:7: '978-3-16-148410-1' is not an ISBN; write its 10 or 13 digits"),
    (BOOK + f"description: {'x' * 20001}\n", "5:14: `description` has 20001 characters; the limit is 20000"),
    (BOOK + 'description: "a\\u0007b"\n', "5:14: `description` contains text that is not valid: the control character"),
    (BOOK + "cover: ../x.jpg\n", "5:8: the cover '../x.jpg' leads out of the manifest's folder; move it into that"),
    (BOOK + "cover: x.jpg\n", "5:8: the cover 'x.jpg' does not exist"),
    (BOOK + "cover: book.yaml\n", "5:8: the cover 'book.yaml' is neither a JPEG nor a PNG; convert it"),
    (BOOK + "  - {title: Two, text: ' '}\n", "5:24: the chapter's text is empty"),
    (BOOK + "  - {title: Two, text: ''}\n", "5:24: the chapter's text is empty"),
    (BOOK + '  - title: Two\n    text: "a\\u0007b\n      c"\n', "6:13: the control character U+0007"),
    (BOOK + '  - title: Two\n    text: "a\n      b\\rc"\n', "7:8: the control character U+000D"),
    (BOOK + "output: {folder: /tmp}\n", "5:18: '/tmp' is not relative to the manifest's folder"),
    (BOOK + "output: {folder: ~/x}\n", "5:18: '~/x' is not relative"),
    (BOOK + "output: {folder: a/../../x}\n", "5:18: 'a/../../x' leads out of the manifest's folder; `--"),
    (BOOK + "render: {model: /models/x}\n", "5:17: '/models/x' is not a path inside the manifest's"),
    (BOOK + "render: {codec: ~/x}\n", "5:17: '~/x' is not a path inside the manifest's fold"),
    (BOOK + "render: {model: ../x}\n", "5:17: '../x' is not a path inside"),
    (BOOK + "render: {model: ./a/../b}\n", "5:17: './a/../b' is not a path inside"),
    (BOOK + "render: {model: maya}\n", "5:17: 'maya' is not a model; write `demo`, a hub id"),
    (BOOK + "render: {model: a/b/c}\n", "5:17: 'a/b/c' is not a model"),
    (BOOK + "render: {model: /models/x.gguf}\n", "5:17: '/models/x.gguf' is not a path inside the manifest's"),
    (BOOK + "render: {model: ../x.gguf}\n", "5:17: '../x.gguf' is not a path inside"),
    (BOOK + "render: {codec: org/x.gguf}\n", "5:17: 'org/x.gguf' is a GGUF file, which contains no codec; delete"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BAD_KEYS + BAD_VALUES + BAD_NAMES)
@pytest.mark.usefixtures("folder")
def test_each_mistake_has_its_place_and_its_words(text: str, expected: str) -> None:
    manuscript, findings = read(text)
    assert len(findings) == 1, findings
    assert findings[0].startswith(f"book.yaml:{expected}")
    assert manuscript is not None  # whatever is wrong, the rest can still be checked


@pytest.mark.usefixtures("folder")
def test_what_to_do_about_it_is_said() -> None:
    assert only(BOOK + "output: {formats: mp3}\n").endswith(", not 'mp3'; write `[mp3]`")
    assert only(BOOK + "output: {formats: [mp4]}\n").endswith(
        "did you mean `mp3`? known: wav, mp3, flac, opus, m4a, m4b, srt, vtt, epub3"
    )
    for key, flag in [("output: {folder", "--output"), ("render: {codec", "--codec")]:
        assert f"`{flag}`" in only(BOOK + f"{key}: /x}}\n")
    assert "`--model`, which takes any path" in only(BOOK + "render: {model: ~/x}\n")


@pytest.mark.parametrize("name", ["demo", "org/name", "a.b/c-d_e@main", "./models/x", "./x"])
@pytest.mark.usefixtures("folder")
def test_names_of_models(name: str) -> None:
    book = sound(BOOK + f"render: {{model: '{name}', codec: '{name}'}}\n").book
    assert (book.render.model, book.render.codec) == (name, name)


@pytest.mark.parametrize("name", ["maya1.gguf", "./maya1.gguf", "models/maya1.gguf", "a/b/c.gguf", "org/x.gguf@main"])
@pytest.mark.usefixtures("folder")
def test_a_gguf_file_need_not_be_there_and_is_no_hub_id(name: str) -> None:
    assert sound(BOOK + f"render: {{model: '{name}'}}\n").book.render.model == name
    assert is_hub_id(name) == name.endswith("@main")


@pytest.mark.parametrize("text", ["[a]\n", "just words\n", "~\n"])
@pytest.mark.usefixtures("folder")
def test_a_manifest_that_is_no_mapping(text: str) -> None:
    manuscript, findings = read(text)
    assert manuscript is None
    assert len(findings) == 1
    assert findings[0].startswith("book.yaml:1:1: the manifest ")


keys = st.sampled_from(
    [
        "title",
        "author",
        "voices",
        "voice",
        "chapters",
        "output",
        "render",
        "text",
        "file",
        "description",
        "seed",
        "formats",
        "type",
        "bitrate",
        "model",
        "folder",
        "anna",
        "x",
        "[key]",
        "<<",
    ]
)
leaves = st.none() | st.sampled_from(
    ["x", "1", "-1", "mp3", "../x", "/x", "~", "./x", "anna", "", "\u2028", "a\nb", "a\0b", "nan", "1e400",
     "9" * 5000, "{what}", "x" * 300]
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
books = st.fixed_dictionaries(
    {
        "title": values,
        "voices": st.dictionaries(keys | st.just("a\nb"), values, max_size=3) | values,
        "chapters": st.lists(st.dictionaries(keys, values, max_size=5) | values, max_size=3) | values,
        "output": st.dictionaries(keys, st.lists(values, max_size=3) | values, max_size=2) | values,
    },
    optional={"render": values, "pauses": values, "voice": values, "language": values},
)


@pytest.mark.slow
@settings(max_examples=examples(120), suppress_health_check=list(HealthCheck))
@given(books)
@pytest.mark.usefixtures("folder")
def test_whatever_stands_in_a_mapping_is_salvaged_and_said_in_plain_words(book: dict[str, Any]) -> None:
    manuscript, findings = read(yaml.safe_dump(book))
    assert manuscript is not None
    assert all("\n" not in finding for finding in findings)
    assert not [finding for finding in findings if "Input should" in finding or "Value error" in finding]
    assert findings or len(manuscript.chapters) == len(manuscript.book.chapters)


@pytest.mark.usefixtures("folder")
def test_yaml_mistakes_come_with_the_others() -> None:
    _, findings = read(BOOK + "title: U\nvoice: x\n")
    assert [finding.split(":")[1] for finding in findings] == ["5", "6"]


@pytest.mark.usefixtures("folder")
def test_all_mistakes_are_found_in_one_go() -> None:
    text = """\
titel: T
title: T
voices:
  anna: A "voice"
  to[m]: x
voice: tim
chapters:
  - title: One
    text: [x]
    voice: bob
  - title: Two
    file: missing.txt
  - title: Two
    text: a
    file: b
  - text: ok
output: {formats: [aiff], folder: ../x}
render: {model: /x, seed: x}
"""
    manuscript, findings = read(text)
    places = [":".join(finding.split(":")[1:3]) for finding in findings]
    assert places == [
        "1:1", "4:9", "5:3", "6:8", "9:11", "10:12", "12:11", "15:5", "16:5", "17:20", "17:35",
        "18:17", "18:27",
    ]  # fmt: skip
    assert manuscript is not None
    assert [chapter.number for chapter in manuscript.chapters] == [4]


@pytest.mark.usefixtures("folder")
def test_one_mistake_under_an_alias_is_found_where_it_was_written() -> None:
    text = HEAD + "chapters:\n  - &c {title: One, text: x, nope: 1}\n  - {<<: *c, title: Two}\n"
    assert only(text).startswith("book.yaml:4:30: unknown key 'nope'")


def chapter_file(name: str) -> str:
    return HEAD + f"chapters:\n  - {{title: One, file: {name}}}\n"


def test_chapter_files_that_cannot_be_read(folder: Path) -> None:
    (folder.parent / "secret.txt").write_text("secret")
    (folder / "out.txt").symlink_to("../secret.txt")
    (folder / "loop.txt").symlink_to("loop.txt")
    (folder / "in").mkdir()
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe")
    (folder / "big.txt").write_bytes(b"")
    os.truncate(folder / "big.txt", 20_000_001)
    (folder / "blank.txt").write_text(" \n\n")
    for name, words in {
        "no.txt": "'no.txt' does not exist",
        "/etc/passwd": "'/etc/passwd' is not relative to the manifest's folder",
        "~/x.txt": "'~/x.txt' is not relative to the manifest's folder",
        "../secret.txt": "'../secret.txt' leads out of the manifest's folder; move it into",
        "out.txt": "'out.txt' leads out of the manifest's folder through a symbolic link",
        "up/secret.txt": "'up/secret.txt' leads out of the manifest's folder through a symbolic link",
        "in": "'in' is a folder",
        "pipe": "'pipe' is not a regular file",
        "big.txt": "'big.txt' is larger than 20 MB",
        "blank.txt": "'blank.txt' is empty",
    }.items():
        manuscript, findings = read(chapter_file(name))
        assert len(findings) == 1
        assert findings[0].startswith(f"book.yaml:4:24: the chapter file {words}")
        assert manuscript is not None
        assert manuscript.chapters == ()
    assert only(chapter_file("loop.txt")).startswith("book.yaml:4:24: the chapter file 'loop.txt' ")
    assert only(chapter_file("x" * 300)).startswith("book.yaml:4:24: the chapter file 'xxx")


def test_chapter_files_with_damage_are_pointed_into(folder: Path) -> None:
    (folder / "latin.txt").write_bytes("One\r\ncaf\u00e9".encode("latin-1"))
    assert only(chapter_file("latin.txt")).startswith("latin.txt:2:4: not UTF-8: the byte 0xE9")
    (folder / "nul.txt").write_bytes(b"\xef\xbb\xbfOne\n\0")
    assert only(chapter_file("nul.txt")).startswith("nul.txt:2:1: a NUL byte")


def test_links_and_dots_that_stay_inside_are_followed(folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "one.txt").write_text("One.")
    (folder / "in" / "link.txt").symlink_to("../one.txt")
    assert sound(chapter_file("in/link.txt")).chapters[0].text == "One."
    assert sound(chapter_file("in/../one.txt")).chapters[0].text == "One."


def test_links_that_lead_out_are_refused_for_folders_too(folder: Path) -> None:
    (folder / "up").symlink_to("..")
    text = BOOK + "output: {folder: up/x}\nrender: {model: ./up/m, codec: ./up/c}\n"
    _, findings = read(text)
    assert [finding.split(": ", 1)[1] for finding in findings] == [
        f"{name!r} leads out of the manifest's folder through a symbolic link; `{flag}` takes any path"
        for name, flag in [("up/x", "--output"), ("./up/m", "--model"), ("./up/c", "--codec")]
    ]
    assert "'up/m.gguf' leads out of the manifest's folder through" in only(BOOK + "render: {model: up/m.gguf}\n")


def test_a_manifest_that_cannot_be_read(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "latin.yaml").write_bytes(b"title: \xe9\n")
    (folder / "empty.yaml").touch()
    for name, words in {
        "no.yaml": "1:1: the manifest does not exist",
        ".": "1:1: the manifest is a folder",
        "pipe": "1:1: the manifest is not a regular file",
        "latin.yaml": "1:8: not UTF-8",
        "empty.yaml": "1:1: the file is empty",
        "empty.yaml/x": "1:1: the manifest cannot be read (Not a directory)",
    }.items():
        manuscript, (finding,) = read_manuscript(Path(name))
        assert manuscript is None
        assert str(finding).startswith(f"{name}:{words}")


def test_files_are_shown_as_the_manifest_was_given(folder: Path) -> None:
    (folder / "book.yaml").write_text(chapter_file("one.txt"))
    (folder / "one.txt").write_text("One\ntwo.")
    os.chdir(folder.parent)
    manuscript, findings = read_manuscript(Path("book/book.yaml"))
    assert findings == []
    assert manuscript is not None
    assert manuscript.chapters[0].place(4) == ("book/one.txt", 2, 1)


def test_the_output_folder(folder: Path) -> None:
    manuscript = sound(BOOK)
    assert output_folder(manuscript) == folder.resolve() / "book"
    assert output_folder(manuscript, Path("/x")) == Path("/x")
    assert output_folder(sound(BOOK + "output: {folder: a/b}\n")) == folder.resolve() / "a/b"
    (folder / "novel").write_text(BOOK)
    bare, _ = read_manuscript(Path("novel"))
    assert bare is not None
    assert output_folder(bare) == folder.resolve() / "novel-audio"


@pytest.mark.parametrize(
    ("title", "stem"),
    [
        ("The Ferry", "the-ferry"),
        ("  It’s 5 o'clock — run! ", "its-5-oclock-run"),
        ("Cafe\u0301 ÉTÉ", "café-été"),
        ("Война и мир", "война-и-мир"),
        ("第一章", "第一章"),
        ("हिन्दी", "हिन्दी"),
        ("../../etc/passwd", "etc-passwd"),
        ("a_b.c", "a-b-c"),
        ("?!", ""),
        ("word " * 30, "-".join(["word"] * 16)),
        ("x" * 100, "x" * 80),
        ("第" * 100, "第" * 60),
    ],
)
def test_file_stem(title: str, stem: str) -> None:
    assert file_stem(title) == stem


@settings(max_examples=examples(200))
@given(st.text(max_size=120))
def test_file_stem_is_always_a_safe_name_and_stable(title: str) -> None:
    stem = file_stem(title)
    assert len(stem) <= 80
    assert len(stem.encode(errors="surrogatepass")) <= 180
    assert not set(stem) & set("/\\.\0 \n'")
    assert stem.strip("-") == stem
    assert file_stem(stem) == stem


def fits(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Enough of a JSON schema validator for what pydantic writes."""
    if "$ref" in schema and not fits(root["$defs"][schema["$ref"].split("/")[-1]], value, root):
        return False
    if "anyOf" in schema and not any(fits(choice, value, root) for choice in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = schema.get("type", [])
    known = {
        "string": str, "number": int | float, "integer": int, "boolean": bool, "null": None.__class__,
        "object": dict, "array": list,
    }  # fmt: skip
    if kinds and not any(isinstance(value, known[k]) for k in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if isinstance(value, list):
        return all(fits(schema.get("items", {}), item, root) for item in value)
    if isinstance(value, dict):
        parts = schema.get("properties", {})
        other = schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= value.keys() and all(
            fits(parts[key], item, root) if key in parts
            else fits(other, item, root) if isinstance(other, dict) else other
            for key, item in value.items()
        )  # fmt: skip
    return True


def test_the_json_schema_takes_what_the_reader_takes_and_minds_the_keys() -> None:
    schema: dict[str, Any] = json_schema()
    chapter = {"title": 1984, "text": "x"}
    book: dict[str, Any] = {"title": True, "voices": {"a": "x"}, "chapters": [chapter]}
    assert fits(schema, book, schema)
    assert fits(schema, {**book, "pauses": None, "author": None, "voice": False}, schema)
    formats = ["wav", {"type": "mp3", "bitrate": "64k"}]
    assert fits(schema, {**book, "output": {"formats": formats}}, schema)
    assert fits(schema, {**book, "render": {"seed": "7", "top_p": 0.5, "model": None}}, schema)
    assert fits(schema, {**book, "voices": {"a": {"description": "x", "seed": 1}}}, schema)
    assert fits(schema, {**book, "render": {"quality": {"shortest": 0.5}}}, schema)
    assert not fits(schema, {**book, "render": {"quality": {"shortest": 2}}}, schema)
    assert not fits(schema, {**book, "titel": "x"}, schema)
    assert not fits(schema, {**book, "pauses": {"sentence": 99}}, schema)
    assert not fits(schema, {**book, "chapters": [{"title": "x"}]}, schema)
    assert not fits(schema, {**book, "voices": {"a": {"seed": 1}}}, schema)
    assert not fits(schema, {"title": "x"}, schema)


@pytest.mark.usefixtures("folder")
def test_a_long_book_is_read_at_once() -> None:
    line = "      and the ferry came, slow and late, “as ever”, said the man who sold tickets\n"
    text = HEAD + "chapters:\n"
    text += "".join(f"  - title: Chapter {n}\n    text: |\n" + line * 145 for n in range(61))
    Path("book.yaml").write_text(text)
    begun = time.monotonic()
    manuscript, findings = read_manuscript(Path("book.yaml"))
    assert time.monotonic() - begun < 20  # 0.03 s where it is quiet
    assert findings == []
    assert manuscript is not None
    assert manuscript.chapters[60].place(80) == ("book.yaml", 3 + 60 * 147 + 4, 11)


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, maya_batch.manifest; print([n for n in ('torch', 'numpy') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "[]"
