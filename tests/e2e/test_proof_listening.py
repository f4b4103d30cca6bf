"""An author listens to a book, marks what is wrong on its page, and has it mended: with the page and `redo` alone."""

import subprocess
from pathlib import Path

from tests.report.test_listen_in_browser import current
from tests.run.test_listening import data_of
from tests.run.test_redo import Cli, chosen
from tests.support.chromium import Page, until
from tests.support.fakes import FakeEngine, TinyBook

TEXT = {"One": ["Fine talk.", "Clumsy talk."], "Two": ["Broken talk.", "The end."]}


def flagged(tiny: TinyBook) -> list[str]:
    chunks = [chunk for chapter in data_of(tiny.output)["chapters"] for chunk in chapter["chunks"]]
    return [chunk["name"].partition("@")[0] for chunk in chunks if chunk["flagged"]]


def test_what_is_marked_on_the_page_is_done_by_the_script_that_it_saves(
    tiny: TinyBook, fake_engine: FakeEngine, cli: Cli, page: Page, tmp_path: Path
) -> None:
    tiny.write(TEXT, render={"model": "./lm", "codec": "./codec", "attempts": 1})
    assert cli("render", tiny.path).code == 3
    assert cli("redo", tiny.path, "2:1").code == 3  # a second take, which is broken, too
    assert flagged(tiny) == ["1:2", "2:1"]

    page.open_again(tiny.output / "listen.html")
    page.press(" ")
    assert until(lambda: page.evaluate("audio.currentTime > 0.05"))
    page.press("j", "m", "a", "j", "2")
    assert until(lambda: page.evaluate("takePlayer.currentTime > 0.05 || takePlayer.ended"))
    page.press("m", "2", "ArrowRight", "m", "n")
    assert current(page) == "The end."
    page.call("Input.insertText", text="shorter next time")
    page.press("Enter")
    saved = tmp_path / "saved"
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
    page.evaluate("find('export-script').click()")
    assert until(lambda: (saved / "redo.sh").is_file() and (saved / "redo.sh").stat().st_size)

    program = saved / "maya-batch"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$1" "$2" "$3" && cp "$4" marks.csv\n', encoding="utf-8")
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", "redo.sh"], cwd=saved, env={"PATH": f"{saved}:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"redo\n{tiny.path}\n--from\n", "")
    fake_engine.batches.clear()
    said = cli("redo", tiny.path, "--from", saved / "marks.csv")
    assert said.code == 0, said.err
    assert fake_engine.texts == ["Clumsy talk."]
    assert chosen(tiny) == {"1:2": 2, "2:1": 2}
    assert ": note: shorter next time\n" in said.err
    assert flagged(tiny) == []

    page.open_again(tiny.output / "listen.html")
    assert page.evaluate("find('status').textContent") == "2 marks were carried out and are removed."
    assert page.evaluate("Object.values(marks).map(mark => mark.action)") == ["note"]
    assert not page.refused()
