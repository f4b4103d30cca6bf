"""How long a book's pauses are: what its manifest sets, and what the rules of its folder have for the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from maya_batch.book.announcement import TITLE
from maya_batch.manifest import Pauses
from maya_batch.text.chunking import Piece
from maya_batch.text.typography import ends_sentence

#: Seconds, by the version of the audio rules; None: as the manifest's documentation says. Those of 2 are from:
#: - Liu et al., "How Pause Duration Influences Impressions of English Speech" (Frontiers in Psychology 13, 2022): most
#:   natural with 0.6 s, or 1.2 s, between sentences. `clause` is half of it: a sentence is also cut where it has no
#:   comma.
#: - Kazlauskienė and Kalašinskaitė, "The Duration of Pauses between Phrases in Reading Language" (Respectus
#:   Philologicus 37, 2020): 0.4 to 1.8 s between paragraphs, of which `paragraph` is near the middle.
#: - Audible's standards for silence, as Narrators Roadmap lists them ("Standards for silence in the book"): 2.5 s after
#:   the chapter's announcement; 2 to 3.5 s, usually 2 to 2.5, at a section break.
#: - ACX, audio submission requirements: 0.5 to 1 s at a file's head, 1 to 5 s at its tail.
_DEFAULTS: Mapping[int, Mapping[str, float | None]] = MappingProxyType(
    {
        1: {"sentence": 0.25, "paragraph": 0.6, "chapter_start": 0.5, "chapter_end": 1.5},
        2: {
            "clause": 0.3,
            "sentence": 0.6,
            "paragraph": 1.0,
            "scene": 2.5,
            "heading": 2.5,
            "chapter_start": 0.75,
            "chapter_end": 3.0,
        },
    }
)
#: Where a book sets the second key and not the first, the first follows it and has no default.
_FOLLOWS = MappingProxyType({"clause": "sentence", "scene": "paragraph", "heading": "paragraph"})


@dataclass(frozen=True)
class PauseLengths:
    """The silences of one book, in seconds; None: as long as where the key does not tell places apart."""

    sentence: float
    paragraph: float
    chapter_start: float
    chapter_end: float
    clause: float | None = None
    voice: float | None = None
    scene: float | None = None
    heading: float | None = None

    @property
    def after_jingle(self) -> float:
        """Between a jingle and its chapter: as at a scene break."""
        return 2 * self.paragraph if self.scene is None else self.scene

    def after(self, piece: Piece, following: Piece | None, voice: str) -> float:
        """The silence after a piece; `voice` is the chapter's.

        What the text asks for takes the place of the usual silence. After a chapter's last piece it is added to
        `chapter_end`, as the stitcher does.
        """
        if piece.pause_after is not None:
            return piece.pause_after
        return 0.0 if following is None else self._usual(piece, following, voice)

    def _usual(self, piece: Piece, following: Piece, voice: str) -> float:
        """The silence between two pieces by what stands there: the rarest of the places that a pause is set for."""
        if piece.paragraph == TITLE and following.paragraph != TITLE and self.heading is not None:
            return self.heading
        if piece.scene_breaks_after:
            return self.paragraph * (1 + piece.scene_breaks_after) if self.scene is None else self.scene
        if self.voice is not None and (piece.voice or voice) != (following.voice or voice):
            return self.voice
        if piece.paragraph != following.paragraph:
            return self.paragraph
        return self.sentence if self.clause is None or ends_sentence(piece.text) else self.clause


def pause_lengths(asked: Pauses, audio_rules: int) -> PauseLengths:
    """The pauses of a book by a version of the audio rules."""
    own = asked.model_dump(exclude_none=True)
    defaults = _DEFAULTS[min(audio_rules, max(_DEFAULTS))]
    usual = {name: seconds for name, seconds in defaults.items() if _FOLLOWS.get(name) not in own}
    return PauseLengths(**{**usual, **own})
