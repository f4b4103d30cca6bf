"""The command `check`: its lines, its exit code, and what it leaves in report.json."""

import json
from collections.abc import Callable

from maya_batch.errors import EXIT_PROBLEMS, EXIT_USAGE, EXIT_WHOLE
from tests.conftest import Said
from tests.e2e.test_cli import one_line
from tests.support.fakes import FakeEngine, TinyBook

TEXT = {"One": ["The night was dark."], "Two": ["The rain was gone."]}
Cli = Callable[..., Said]


def test_what_fails_is_shown_and_ends_with_3(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == EXIT_WHOLE
    said = cli("check", tiny.path)
    assert said.code == EXIT_PROBLEMS
    assert "FAIL  01-one.wav  format" in said.out
    assert "ACX takes narration by humans only" in said.out
    assert "of acx-form not met" in said.err
    report = json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))
    assert report["check"]["store"] == "acx-form"
    assert report["check"]["passed"] is False
    assert len(report["check"]["rows"]) == said.out.count("\n") - 1
    page = (tiny.output / "report.html").read_text(encoding="utf-8")
    assert "Requirements of acx-form" in page
    assert "ACX takes narration by humans only" in page
    assert cli("render", tiny.path).code == EXIT_WHOLE  # nothing to do: the report stays
    assert json.loads((tiny.output / "report.json").read_text(encoding="utf-8"))["check"] == report["check"]


def test_what_passes_ends_with_0(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    import struct

    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBB", 13, b"IHDR", 3000, 3000, 8, 2)
    (tiny.folder / "cover.png").write_bytes(png)
    tiny.write(TEXT, master="podcast", cover="cover.png", narrator="a synthesized voice")
    assert cli("render", tiny.path).code == EXIT_WHOLE
    said = cli("check", tiny.path, "--store", "spotify", "--json")
    assert (said.code, json.loads(said.out)["passed"]) == (EXIT_WHOLE, True)


def test_a_chapter_that_is_out_of_date_is_named(tiny: TinyBook, fake_engine: FakeEngine, cli: Cli) -> None:
    tiny.write(TEXT)
    cli("render", tiny.path)
    (tiny.output / "02-two.wav").unlink()
    said = cli("check", tiny.path, "--store", "google")
    assert "FAIL  02-two.wav  file" in said.out
    assert "run `render`, then `check` again" in said.out


def test_another_store_and_a_book_without_takes_are_refused(tiny: TinyBook, cli: Cli) -> None:
    tiny.write(TEXT)
    assert "--store audible: write one of acx-form" in one_line(
        cli("check", tiny.path, "--store", "audible"), EXIT_USAGE
    )
    assert "nothing is rendered" in one_line(cli("check", tiny.path), EXIT_USAGE)


def test_no_text_of_an_older_report_gets_the_sound_of_another_one(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    texts = ["Endless was the night.", "Endless was the river."]
    render = {"model": "./lm", "codec": "./codec", "attempts": 1}
    tiny.write({"One": texts}, render=render)
    assert cli("render", tiny.path).code == 3
    page = tiny.output / "report.html"
    assert page.read_text(encoding="utf-8").count("data:audio/mpeg") == 2
    tiny.write({"One": [texts[1], "More talk.", texts[0]]}, render=render)
    cli("check", tiny.path)
    assert "data:audio/mpeg" not in page.read_text(encoding="utf-8")
    tiny.write({"One": texts}, render=render)
    cli("check", tiny.path)
    assert page.read_text(encoding="utf-8").count("data:audio/mpeg") == 2


def test_the_chapters_of_an_m4b_are_measured_though_no_store_takes_it(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    tiny.write(TEXT, output={"formats": [{"type": "m4b", "bitrate": "192k"}]}, master="store")
    assert cli("render", tiny.path).code == EXIT_WHOLE
    said = cli("check", tiny.path)
    assert (said.code, "Traceback" in said.err) == (EXIT_PROBLEMS, False)
    rows = {tuple(line.split()[:3]): line.split()[3:] for line in said.out.splitlines() if line[4:5] == " "}
    for name in ("01-one.aac", "02-two.aac"):
        assert rows["FAIL", name, "format"][:2] == ["M4B", "MP3;"]
        assert ("pass", name, "RMS") in rows
        assert rows["pass", name, "sample"][:3] == ["rate", "44100", "Hz"]
