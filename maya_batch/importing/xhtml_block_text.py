"""The text of one block while it is read, with what is left out of it, by reason."""

import re
from collections.abc import Iterator

from maya_batch.importing.blocks import Block, Kind, Place
from maya_batch.importing.xhtml_elements import collapsed

#: Marks of separators in the collected text; the white space of the source is collapsed to spaces before.
_LINE, _CELL = "\n", "\t"
_SPACES = re.compile("[ \t\n\r\f]+")
#: A paragraph of this many short lines is verse, an address, an inscription: its lines are kept.
_LINES_OF_VERSE, _LINES_OF_QUOTED_VERSE, _LONGEST_LINE = 3, 2, 70
#: The most signs of a paragraph that separates scenes: `* * *` with any number of them.
_MOST_SIGNS = 80
#: What says something though no letter does: a reply of dots or question marks.
_SAYS_SOMETHING = re.compile("[\\w?!…\"'“”‘’«»„‚‹›]|\\. ?\\.")
#: The alternative text of an image between scenes.
_ORNAMENT_ALT = re.compile(
    r"(?:(?:an? )?(?:decorative|ornamental)?\s*)?(?:scene|section|text) ?break$|ornament$|decoration$|[^\w]{1,20}$",
    re.I,
)
_CLOSING = tuple(".,;:!?)]}’”»…")


class BlockText:
    """Collects one block."""

    def __init__(self, kind: Kind, level: int, place: Place, roles: frozenset[str]) -> None:
        self.kind, self.level, self.place, self.roles = kind, level, place, roles
        self.ids: list[str] = []
        self.omitted: dict[str, int] = {}
        self.has_text = False
        self.is_captioned = False
        """In a figure with a caption, alternative texts are left out."""
        self.separates_scenes = False
        """Its class says that it separates scenes if it says nothing."""
        self.is_initial = False
        """Its class says that it is the first letter of the next paragraph."""
        self.breaks = 0
        """Line breaks since the last text."""
        self.has_breaks = False
        self._parts: list[str] = []
        self._raised: list[int] = []
        self._ends_with_space = True
        self._after_mark = False
        self._images: list[tuple[str, int]] = []
        self._formulas: list[tuple[str, int]] = []
        self._pages: list[tuple[str, int]] = []

    def add(self, text: str) -> None:
        """Add text of the source."""
        if self.kind == "code":
            self._append(text)
            return
        single = _SPACES.sub(" ", text)
        if single.startswith(" ") and self._ends_with_space:
            single = single[1:]
        elif self._after_mark and self._parts and self._parts[-1].endswith(" ") and single.startswith(_CLOSING):
            self._parts[-1] = self._parts[-1][:-1]
            self._omit("white space", 1)
        self._omit("white space", len(text) - len(single))
        if single:
            self._append(single)
            self._ends_with_space = single.endswith(" ")

    def add_raised(self, text: str) -> None:
        """Add a raised number or sign, without white space: the mark of a note, or text."""
        self._raised.append(len(self._parts))
        self._append(text)
        self._ends_with_space = False

    def _append(self, text: str) -> None:
        self._parts.append(text)
        if not text.isspace():
            self.has_text, self.breaks, self._after_mark = True, 0, False

    def insert(self, text: str) -> None:
        """Add text that stands for markup: quotation marks of `q`, the joint before a subtitle."""
        self._parts.append(text)
        self._ends_with_space = text.endswith(" ")
        self._after_mark = False

    def break_line(self) -> None:
        """Begin another line; what has no lines has a space there."""
        if self.has_text and not (self._parts and self._parts[-1] == _LINE):
            self.insert(_LINE)
            self._ends_with_space = True

    def begin_cell(self) -> None:
        """Begin another cell of a table's row."""
        self.insert(_CELL)
        self._ends_with_space = True

    def last_line_is_short(self) -> bool:
        """Whether what was added since the last line break may be a line of verse."""
        length = 0
        for part in reversed(self._parts):
            if part == _LINE:
                break
            length += len(part)
            if length > _LONGEST_LINE + 30:
                return False
        return True

    def omit(self, reason: str, characters: int) -> None:
        """Count characters that are left out of the text."""
        self._omit(reason, characters)
        self._after_mark = True

    def omit_image(self, alternative: str, characters: int) -> None:
        """An image: its alternative text is the text of a block that has no other."""
        self._images.append((collapsed(alternative), characters))

    def omit_formula(self, said: str, characters: int) -> None:
        """A formula: it is the text of a block that has no other."""
        self._formulas.append((collapsed(said), characters))
        self._after_mark = True

    def omit_page_number(self, number: str, characters: int) -> None:
        """The number of a page: it is the text of a block that has no other."""
        self._pages.append((collapsed(number), characters))

    def _omit(self, reason: str, characters: int) -> None:
        if characters:
            self.omitted[reason] = self.omitted.get(reason, 0) + characters

    def finished(self) -> Block | None:
        """The block; None if it neither says anything nor leaves anything out."""
        raw = "".join(self._parts)
        text = self._composed(raw)
        kind = self.kind
        if not text and (self._images or self._formulas or self._pages):
            self._omit("white space", len(raw))
            return self._without_text()
        if text and kind in ("paragraph", "quote", "verse") and is_separator(text):
            kind = "scene_break"
        if not text and not any(reason != "white space" for reason in self.omitted):
            return self._block("scene_break", "") if self.separates_scenes else None
        self._omit("white space", len(raw) - len(text))
        self._omit_all(self._images, "alternative text")
        self._omit_all(self._formulas, "formula")
        self._omit_all(self._pages, "page number")
        return self._block(kind, text)

    def _composed(self, raw: str) -> str:
        if self.kind == "code":
            return raw.strip("\n") if raw.strip() else ""
        if _LINE not in raw and self.kind != "table":
            return raw.strip()
        lines = [line.strip(" " if self.kind == "table" else None) for line in raw.split(_LINE)]
        if self.kind == "table":
            return _LINE.join(_row(line) for line in lines if line.strip())
        lines = [line for line in lines if line]
        if self.kind in ("paragraph", "quote") and _is_verse(lines, quoted=self.kind == "quote"):
            self.kind = "verse"
        return (_LINE if self.kind == "verse" else " ").join(lines)

    def _without_text(self) -> Block:
        images = [said for said, _ in self._images if said]
        if self._formulas:
            text = self._say(self._formulas, "formula")
            self._omit_all(self._images, "alternative text")
            self._omit_all(self._pages, "page number")
            return self._block("formula", text)
        if self._images:
            self._omit_all(self._pages, "page number")
            ornament = len(images) == 1 and _ORNAMENT_ALT.match(images[0]) is not None
            if self.separates_scenes or self.is_captioned or ornament or not images:
                self._omit_all(self._images, "alternative text")
                separates = self.separates_scenes or ornament
                return self._block("scene_break" if separates else "figure", "")
            text = self._say(self._images, "alternative text")
            return self._block(self.kind if self.kind in ("heading", "note", "sidebar", "table") else "figure", text)
        return self._block("page_break", self._say(self._pages, "page number"))

    def _say(self, left_out: list[tuple[str, int]], reason: str) -> str:
        text = " ".join(said for said, _ in left_out if said)
        self._omit(reason, max(0, sum(characters for _, characters in left_out) - len(text)))
        return text

    def _omit_all(self, left_out: list[tuple[str, int]], reason: str) -> None:
        self._omit(reason, sum(characters for _, characters in left_out))

    def _block(self, kind: Kind, text: str) -> Block:
        level = self.level if kind in ("heading", "list_item") else 0
        ids = tuple(dict.fromkeys(self.ids))
        raised = tuple(self._places_of_raised(text)) if self._raised and kind not in ("table", "code") else ()
        return Block(kind, text, self.place, level, ids, self.roles, dict(self.omitted), raised)

    def _places_of_raised(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of the raised parts in the text, which differs from the parts in white space only."""
        raised = iter(self._raised)
        wanted = next(raised, None)
        words = re.finditer(r"\S+", text)
        word = next(words, None)
        begun = characters = 0
        """Characters without white space before the word, and before the part."""
        for number, part in enumerate(self._parts):
            if number == wanted:
                while word is not None and begun + len(word[0]) <= characters:
                    begun += len(word[0])
                    word = next(words, None)
                if word is None:
                    return
                start = word.start() + characters - begun
                yield start, start + len(part)
                wanted = next(raised, None)
            characters += sum(map(len, part.split()))


def is_separator(text: str) -> bool:
    """Whether a paragraph consists of signs that separate scenes."""
    return len(text) <= _MOST_SIGNS and _SAYS_SOMETHING.search(text) is None


def _row(line: str) -> str:
    return _CELL.join(cell.strip() for cell in line.split(_CELL)).rstrip(_CELL)


def _is_verse(lines: list[str], *, quoted: bool) -> bool:
    enough = _LINES_OF_QUOTED_VERSE if quoted else _LINES_OF_VERSE
    return len(lines) >= enough and all(len(line) <= _LONGEST_LINE for line in lines)
