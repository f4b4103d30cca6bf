"""What the tags of chapter files say, and when a change of it writes the files again."""

from collections.abc import Callable

import pytest

from maya_batch.book.settings import Machine
from maya_batch.book.state import book_state
from maya_batch.book.track_tags import more_tags, track_tags
from tests.conftest import Said
from tests.e2e.test_render_book import audio
from tests.support.fakes import FakeEngine, TinyBook

Cli = Callable[..., Said]
TEXT = {"One": ["Fine talk."], "Two": ["The end."]}
JPEG = b"\xff\xd8\xff\xe0 a picture"


def test_a_book_of_title_and_author_has_no_further_tags(tiny: TinyBook) -> None:
    tiny.write(TEXT, author="A. Writer", subtitle="A Story", isbn="0-306-40615-2", description="About it.")
    plan = tiny.plan()
    assert more_tags(plan.manuscript) == {}
    tags = track_tags(plan.manuscript, plan.chapters[1], "x")
    assert (tags.title, tags.album, tags.artist, tags.track, tags.tracks) == ("Two", "Tiny", "A. Writer", 2, 2)


def test_further_tags_are_those_of_the_manifest(tiny: TinyBook) -> None:
    (tiny.folder / "cover.jpg").write_bytes(JPEG)
    tiny.write(TEXT, narrator="Maya", date="1895", series={"name": "Lamps", "number": 2}, cover="cover.jpg")
    plan = tiny.plan()
    tags = track_tags(plan.manuscript, plan.chapters[0], "x")
    assert (tags.narrator, tags.date, tags.series, tags.series_number) == ("Maya", "1895", "Lamps", "2")
    assert tags.cover is not None
    assert (tags.cover.content, tags.cover.mime) == (JPEG, "image/jpeg")


@pytest.mark.parametrize("more", [{"narrator": "Maya"}, {"date": "1895"}, {"series": "Lamps"}, {"cover": "cover.jpg"}])
def test_changed_metadata_writes_files_again_without_the_model(
    more: dict[str, str], tiny: TinyBook, fake_engine: FakeEngine, cli: Cli
) -> None:
    (tiny.folder / "cover.jpg").write_bytes(JPEG)
    tiny.write(TEXT)
    assert cli("render", tiny.path).code == 0
    before = audio(tiny)
    fake_engine.batches.clear()
    tiny.write(TEXT, **more)
    assert cli("render", tiny.path).code == 0
    after = audio(tiny)
    assert (fake_engine.batches, after.keys()) == ([], before.keys())
    assert all(after[name] != before[name] for name in before)


def test_another_picture_of_the_same_name_is_another_cover(tiny: TinyBook) -> None:
    found = set()
    for end in (b"", b"!", b""):
        (tiny.folder / "cover.jpg").write_bytes(JPEG + end)
        tiny.write(TEXT, cover="cover.jpg")
        plan = tiny.plan()
        found.add(more_tags(plan.manuscript)["cover"])
        assert book_state(plan, Machine()).plan.manuscript.cover is not None
    assert len(found) == 2
