"""listen.html as a person uses it in a browser: it plays, follows, takes keys, and keeps marks."""

import json
from pathlib import Path

import pytest

from maya_batch.report.listen_page import ListenBook, ListenFile
from tests.support.chromium import Page, until
from tests.support.listening import (
    a_book,
    a_novel,
    a_report,
    listen_chapter,
    listen_chunk,
    write_listen_page,
)

EVIL = "</script><script>window.hacked=1</script><!--<img src=x onerror=window.hacked=1>\u2028\"'&amp;"


def current(page: Page) -> str:
    text: str = page.evaluate("document.querySelector('.sentence.current')?.textContent ?? ''")
    return text


def whole_files(folder: Path) -> dict[str, str]:
    """The files that were downloaded to a folder, by name."""
    paths = [path for path in folder.glob("*") if path.suffix in (".csv", ".sh") and path.stat().st_size]
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def test_it_plays_and_the_highlight_follows(page: Page, tmp_path: Path) -> None:
    page.open_again(write_listen_page(tmp_path, a_book()))
    page.press(" ")
    assert until(lambda: current(page)) == "The night was dark."
    assert until(lambda: page.evaluate("audio.currentTime > 0.3"))
    assert page.evaluate("find('play').textContent") == "Pause"
    assert until(lambda: current(page) == "Who goes there?")
    assert 1.3 < page.evaluate("audio.currentTime") < 3
    page.press(" ")
    assert page.evaluate("audio.paused")
    # A click on a sentence of another chapter plays that chapter's file from there.
    page.evaluate("sentences[4].element.click()")
    assert until(lambda: page.evaluate("audio.src.endsWith('02-part.wav') && audio.currentTime > 1.5"))
    assert current(page) == "The lamp went out."
    assert not page.refused()


def test_the_next_chapter_follows_and_speed_is_kept(page: Page, tmp_path: Path) -> None:
    path = write_listen_page(tmp_path, a_book())
    page.open_again(path)
    page.evaluate("sentences[2].element.click()")
    assert until(lambda: page.evaluate("audio.currentTime > 3"))
    page.press("+", ">", "<", ">")
    assert page.evaluate("[audio.playbackRate, find('speed').value]") == [1.25, "1.25"]
    page.evaluate("audio.currentTime = 4.8")
    assert until(lambda: page.evaluate("audio.src.endsWith('02-part.wav') && !audio.paused"))
    assert until(lambda: current(page) == "He waited.")
    assert page.evaluate("audio.playbackRate") == 1.25
    page.open_again(path)
    assert page.evaluate("audio.playbackRate") == 1.25
    assert current(page) == "He waited."  # where it was left
    assert page.evaluate("audio.paused")


def test_keys_move_through_sentences_and_flagged_chunks(page: Page, tmp_path: Path) -> None:
    page.open_again(write_listen_page(tmp_path, a_book()))
    texts = []
    for key in ("j", "j", "j", "k", "ArrowLeft", "ArrowLeft", "ArrowRight"):
        page.press(key)
        texts.append(current(page))
    first, last = "An old man rowed.", "No man came."
    assert texts == [first, last, last, first, "Who goes there?", "The night was dark.", "Who goes there?"]
    page.press("k", "k")
    assert page.evaluate("find('status').textContent") == "No flagged chunk comes before."
    page.press("?")
    assert page.evaluate("find('keys').open")
    page.press("Escape")
    assert not page.evaluate("find('keys').open")
    assert page.evaluate("[...document.querySelectorAll('#takes li')].length") == 1
    assert not page.refused()


def test_takes_of_a_flagged_chunk_are_played_one_against_the_other(page: Page, tmp_path: Path) -> None:
    page.open_again(write_listen_page(tmp_path, a_book()))
    page.press("j")
    assert page.evaluate("[...document.querySelectorAll('#takes li .row p')].map(it => it.textContent)") == [
        "take 1, 2.0 s",
        "take 2, 2.0 s",
        "take 3, 2.0 s, in use",
    ]
    page.press("2")
    assert until(lambda: page.evaluate("!takePlayer.paused && takePlayer.currentTime > 0.1"))
    page.press(" ")
    assert page.evaluate("takePlayer.paused && audio.paused")
    # A take in use without a clip is played from its chapter, and no further.
    page.evaluate("goTo(sentences[0], false)")
    page.press("1")
    assert until(lambda: page.evaluate("!audio.paused && audio.currentTime > 0.1"))
    assert until(lambda: page.evaluate("audio.paused"))
    assert 2.4 < page.evaluate("audio.currentTime") < 3.0
    assert not page.refused()


def test_marks_survive_a_reload_and_leave_as_files(page: Page, tmp_path: Path) -> None:
    path = write_listen_page(tmp_path, a_book())
    page.open_again(path)
    page.press("j", "m", "2", "j", "m", "a", "ArrowLeft", "m", "n")
    assert page.evaluate("document.activeElement.id") == "note"
    page.call("Input.insertText", text='ask "Ann", soon')
    page.press("Enter")
    csv = 'ref,action,note\n1:2@b2c3,keep 2,\n2:1@c3d4,note,"ask ""Ann"", soon"\n2:2@d4e5,again,\n'
    assert page.evaluate("marksAsCsv()") == csv
    page.open_again(path)
    assert page.evaluate("marksAsCsv()") == csv
    assert page.evaluate("[...document.querySelectorAll('#marks li span')].map(it => it.textContent)") == [
        "keep 2",
        'ask "Ann", soon',
        "again",
    ]
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
    page.evaluate("find('export-csv').click()")
    page.evaluate("find('export-script').click()")
    saved = tmp_path / "saved"
    assert until(lambda: len(whole_files(saved)) == 2)
    assert whole_files(saved) == {"marks.csv": csv, "redo.sh": page.evaluate("marksAsScript()")}
    assert not page.refused()


def test_a_saved_file_comes_back_and_what_is_strange_in_it_is_told(page: Page, tmp_path: Path) -> None:
    page.open_again(write_listen_page(tmp_path, a_book()))
    strange = (
        '\ufeffref,action,note\r\n1:2@b2c3,KEEP  2,"a, ""b"""\r\n9:9@ffff,again,\r\n2:1@c3d4,drop,\r\n2:2@d4e5,again'
    )
    page.evaluate(f"importCsv({json.dumps(strange)})")
    assert page.evaluate("marksAsCsv()") == 'ref,action,note\n1:2@b2c3,keep 2,"a, ""b"""\n2:2@d4e5,again,\n'
    said = page.evaluate("find('status').textContent")
    assert said == "2 of 4 marks imported. The others name no chunk of this page, or no action."


def test_marks_that_were_carried_out_are_removed_and_old_ones_are_not_saved(page: Page, tmp_path: Path) -> None:
    book = a_book()
    done = {
        "1:2@b2c3": {"action": "again", "note": "slower", "takes": 2},
        "2:2@d4e5": {"action": "keep 3", "note": "", "takes": 3},
        "1:1@ffff": {"action": "again", "note": "", "takes": 1},
    }
    chosen = listen_chunk("2:2@d4e5", "No man came.", start=3.0, chosen=True, used=3)
    book = ListenBook(book.id, (book.chapters[0], listen_chapter(2, chosen)))
    path = write_listen_page(tmp_path, book)
    page.open_again(path)
    page.evaluate(f"localStorage.setItem('maya-batch marks {book.id}', {json.dumps(json.dumps(done))})")
    page.open_again(path)
    assert page.evaluate("find('status').textContent") == "2 marks were carried out and are removed."
    assert page.evaluate("marksAsCsv()") == "ref,action,note\n1:2@b2c3,note,slower\n"
    assert "1:1@ffff again (its text changed: not saved)" in page.evaluate("find('marks').innerText")


def test_what_is_no_mark_in_the_browsers_storage_reaches_no_script(page: Page, tmp_path: Path) -> None:
    """All pages that Chromium opens as files share one storage."""
    book = a_book()
    path = write_listen_page(tmp_path, book)
    page.open_again(path)
    strange = {
        "1:1@a1b2": {"action": "again\nEND-OF-MARKS\nrm -rf ~", "note": "x"},
        "1:2@b2c3": {"action": "keep 2", "note": "x\nEND-OF-MARKS\nrm -rf ~", "takes": "many"},
        "2:1@c3d4": None,
        "2:2@d4e5": {"action": "KEEP   3"},
        "\nrm -rf ~": {"action": "again", "note": "x"},
    }
    page.evaluate(f"localStorage.setItem('maya-batch marks {book.id}', {json.dumps(json.dumps(strange))})")
    page.open_again(path)
    assert page.evaluate("marksAsCsv()").splitlines() == [
        "ref,action,note",
        "1:2@b2c3,keep 2,x END-OF-MARKS rm -rf ~",
        "2:2@d4e5,keep 3,",
    ]
    for text in ("[]", "7", "null", '"a"', "{", '{"__proto__": {"action": "again"}}'):
        page.evaluate(f"localStorage.setItem('maya-batch marks {book.id}', {json.dumps(text)})")
        page.open_again(path)
        assert page.evaluate("marksAsCsv()") == "ref,action,note\n"
        assert not page.refused()


def test_chapters_of_one_file_are_found_by_their_offsets(page: Page, tmp_path: Path) -> None:
    book = a_book()
    files = [(ListenFile("./01-part.wav", "audio/wav", offset),) for offset in (0.0, 2.0)]
    one, two = (
        listen_chapter(1, listen_chunk("1:1@a1b2", "The night was dark."), files=files[0]),
        listen_chapter(2, listen_chunk("2:1@b2c3", "He waited.", "The end."), files=files[1]),
    )
    page.open_again(write_listen_page(tmp_path, ListenBook(book.id, (one, two))))
    page.press(" ")
    assert until(lambda: page.evaluate("audio.currentTime > 0.2"))
    page.evaluate("audio.currentTime = 1.9")
    assert until(lambda: current(page) == "He waited.")
    assert until(lambda: current(page) == "The end.")
    assert 3.3 < page.evaluate("audio.currentTime") < 4.9
    page.press(" ", "ArrowLeft")
    assert until(lambda: page.evaluate("!audio.seeking && audio.currentTime") == 2.0)
    assert current(page) == "He waited."


def test_nothing_that_a_text_holds_is_run(page: Page, tmp_path: Path) -> None:
    chunk = listen_chunk("1:1@a1b2", EVIL, EVIL, spoken=EVIL, voice=EVIL)
    evil = listen_chapter(1, chunk, title=EVIL, part=EVIL, remark=EVIL)
    path = write_listen_page(tmp_path, ListenBook(EVIL, (evil,)), a_report(title=EVIL, author=EVIL, book=EVIL))
    page.open_again(path)
    page.press("ArrowRight", "m", "n")
    page.call("Input.insertText", text=EVIL)
    page.press("Enter")
    assert until(lambda: "<img src=x" in page.evaluate("find('marks').textContent"))
    page.open_again(path)
    assert page.evaluate("document.querySelector('h1').textContent") == EVIL
    assert page.evaluate("sentences[0].element.textContent") == EVIL
    assert "<img src=x" in page.evaluate("find('marks').textContent")
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert len(page.evaluate("marksAsCsv()").splitlines()) == 2  # a line separator in a note ends no line
    assert not page.refused()


def test_a_chapter_that_is_not_rendered_is_text_with_a_remark(page: Page, tmp_path: Path) -> None:
    page.open_again(write_listen_page(tmp_path, a_book()))
    assert "This chapter is not rendered yet." in page.evaluate("find('chapter-3').textContent")
    page.evaluate("sentences.at(-1).element.click()")
    assert current(page) == "The rain was gone."
    assert page.evaluate("audio.paused")
    assert page.evaluate("find('takes').textContent") == "No take yet."
    page.press(" ")
    assert page.evaluate("audio.paused")
    assert not page.refused()


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_its_screen_by_day_and_by_night(page: Page, tmp_path: Path, width: int) -> None:
    path = write_listen_page(tmp_path, a_book())
    for dark in (False, True):
        page.open_again(path, width)
        page.prefer(dark)
        page.press("j", "m")
        until(lambda: _fits(page, width))
        assert page.overflow() == 0
        # Last: the screen grows for a picture, and for a moment the page has other edges after it.
        (tmp_path / f"{width}-{dark}.png").write_bytes(page.look(width, dark))
    page.press("Escape", "Escape")  # the first one ends the marking
    assert bool(page.evaluate("find('panel').offsetHeight")) == (width == 1280)


def _fits(page: Page, width: int) -> bool:
    """Whether the panel is above the player, and does not cover the sentence that is spoken."""
    places = page.evaluate(
        "[current.element, find('panel'), document.querySelector('footer')].map(it => it.getBoundingClientRect())"
        ".map(({left, right, top, bottom}) => [left, right, top, bottom])"
    )
    sentence, panel, player = places
    return (
        all(0 <= left < right <= width and 0 <= top < bottom <= 800 for left, right, top, bottom in places)
        and panel[3] <= player[2]
        and (sentence[3] <= panel[2] or sentence[1] <= panel[0])
    )


#: Seconds from the start of the navigation until the page was drawn, which is after its script has made it.
SHOWN = """new Promise(done => { const look = () => {
    const [paint] = performance.getEntriesByName("first-contentful-paint");
    paint ? done(paint.startTime / 1000) : setTimeout(look, 20); }; look(); })"""


def test_a_novel_opens_at_once(page: Page, tmp_path: Path) -> None:
    """tests.measure.listen_page measures it; here the machine may be busy with other tests."""
    page.open_again(write_listen_page(tmp_path, a_novel()))
    assert page.evaluate(SHOWN) < 8
    assert page.evaluate("sentences.length") == 120_000 / 16
    page.evaluate("goToFlagged(1)")
    assert page.evaluate("current.chunk.flagged")
