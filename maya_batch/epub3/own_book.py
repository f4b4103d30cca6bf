"""The EPUB of a book that was not imported from one: made of its texts, its cover and its sound."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from maya_batch.book.state import BookState
from maya_batch.epub3 import own_pages
from maya_batch.epub3.epub_zip import Entry
from maya_batch.epub3.media_overlay import STYLE, length, parts, smil
from maya_batch.epub3.package_document import CONTAINER, Item, container, package_document
from maya_batch.epub3.spoken_chapters import SpokenChapter

_FOLDER, _PACKAGE = "EPUB", "package.opf"
_COVERS = {"image/jpeg": "cover.jpg", "image/png": "cover.png"}


def own_book(state: BookState, spoken: Sequence[SpokenChapter]) -> list[Entry]:
    """The files of the EPUB, but for its first one."""
    made = _OwnBook(state)
    made.add_cover()
    pages = {chapter.chapter.number: chapter for chapter in spoken}
    skipped = {chapter.number: chapter for chapter in state.plan.manuscript.skipped}
    for number in sorted({*pages, *skipped}):
        if number in pages:
            made.add_spoken(pages[number])
        else:
            chapter = skipped[number]
            made.add_silent(number, chapter.title, chapter.part)
    return list(made.finished())


class _OwnBook:
    """An EPUB while its files are gathered."""

    def __init__(self, state: BookState) -> None:
        self._plan = state.plan
        self._book = state.plan.book
        self._identity = f"maya-batch {state.book_id.id if state.book_id is not None else self._book.title}"
        self._items: list[Item] = []
        self._entries: list[Entry] = []
        self._contents: list[tuple[str, str, str]] = []

    def add_cover(self) -> None:
        """The picture, and a page that shows it."""
        cover = self._plan.manuscript.cover
        if cover is not None:
            name = _COVERS[cover.mime]
            self._add(Item("cover-image", name, properties="cover-image"), cover.content)
            page = own_pages.cover_page(f"../{name}", self._book.title, self._book.language)
            self._add(Item("cover", "text/cover.xhtml", in_spine=True), page)

    def add_spoken(self, spoken: SpokenChapter) -> None:
        """A chapter with its sound."""
        chapter, language = spoken.chapter, self._book.language
        [text] = [each for each in self._plan.manuscript.chapters if each.number == chapter.number]
        page, anchors = own_pages.spoken_page(text, spoken.texts, self._plan.text_rules, language)
        name, suffix = f"chapter-{chapter.number}", spoken.audio.suffix
        audio = f"audio/{name}{suffix}"
        overlay = parts(anchors, f"../{audio}", spoken.seconds)
        item = Item(name, f"text/{name}.xhtml", in_spine=True)
        self._contents.append((chapter.part, chapter.title, item.href))
        if overlay:
            item = replace(item, overlay=f"{name}-overlay")
            self._add(
                Item(item.overlay, f"smil/{name}.smil", seconds=length(overlay)), smil(f"../{item.href}", overlay)
            )
            self._items.append(Item(f"{name}-audio", audio))
            self._entries.append(Entry(f"{_FOLDER}/{audio}", spoken.audio))
        self._add(item, page)

    def add_silent(self, number: int, title: str, part: str) -> None:
        """A chapter that is not spoken."""
        text = self._plan.manuscript.skipped_texts[number]
        page = own_pages.silent_page(title, part, text, self._plan.text_rules, self._book.language)
        item = Item(f"chapter-{number}", f"text/chapter-{number}.xhtml", in_spine=True)
        self._contents.append((part, title, item.href))
        self._add(item, page)

    def finished(self) -> Iterator[Entry]:
        """All files, the container first."""
        self._add(Item("style", "style.css"), (own_pages.STYLE + STYLE).encode())
        page = own_pages.contents_page(self._contents, self._book.title, self._book.language)
        self._add(Item("contents", "contents.xhtml", properties="nav"), page)
        yield Entry(CONTAINER, container(f"{_FOLDER}/{_PACKAGE}"))
        yield Entry(f"{_FOLDER}/{_PACKAGE}", package_document(self._book, self._identity, self._items))
        yield from self._entries

    def _add(self, item: Item, content: bytes) -> None:
        self._items.append(item)
        self._entries.append(Entry(f"{_FOLDER}/{item.href}", content))
