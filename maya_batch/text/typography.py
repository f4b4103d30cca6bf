"""Cleans up typography for the model: spaces, invisible characters, the full stop at the end."""

import re
import unicodedata

from maya_batch.text.emotion_tags import TAG

# Characters without a sound: controls, soft hyphen, zero-width and direction marks, lone surrogates.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# Without any of these, a text is in NFC: it has Latin letters, or dashes and quotes, which no form changes.
_MAY_COMPOSE = re.compile("[^\x00-\u02ff\u2010-\u205e]")
_SPACE = re.compile(r"\s+")
_STOPS = frozenset(".!?…‽。！？")
_CLOSERS = frozenset("\"'”’»›)]} ")
_PAUSES = ",;:-‐‑‒–—―−⸺⸻~"
_TAG_OR_PAUSE = re.compile(rf"({TAG.pattern})|[{re.escape(_PAUSES)}]+")
_TAIL = _CLOSERS | frozenset(_PAUSES)


def speakable(text: str) -> str:
    """Return `text` with clean typography, and a full stop if it has no end mark; idempotent.

    Runs of whitespace become one space, characters without a sound are removed, letters are composed (NFC). If
    there is no full stop, `!`, `?` or `…` before closing quotes, brackets and tags, a full stop is put there in
    place of any comma, colon or dash: without it Maya1 tends to repeat itself.
    """
    if not text.isprintable():  # which no invisible character is, nor any space but one
        text = INVISIBLE.sub("", text)
    text = " ".join(text.split())
    if not is_composed(text):
        text = "".join(
            # NFC would merge a combining stroke after a tag with the tag's `>`.
            part if TAG.fullmatch(part) else unicodedata.normalize("NFC", part)
            for part in _tags_apart(text)
        )
    end = _core_end(text)
    core, tail = text[:end], text[end:]
    if not core:
        return text
    stop = "" if core[-1] in _STOPS else "."
    return core + stop + _SPACE.sub(" ", _TAG_OR_PAUSE.sub(r"\1", tail)).rstrip() if tail else core + stop


def is_composed(text: str) -> bool:
    """Whether a text is in NFC; for most texts a glance tells, in a tenth of the time."""
    return _MAY_COMPOSE.search(text) is None or unicodedata.is_normalized("NFC", text)


def ends_sentence(text: str) -> bool:
    """Whether a full stop, `!`, `?` or `…` ends `text`, before closing quotes, brackets and tags."""
    end = _core_end(text)
    return end > 0 and text[end - 1] in _STOPS


def finish_description(text: str) -> str:
    """Return a voice description, cleaned like a text and ended with a full stop.

    Without the full stop Maya1 often reads the description aloud (FastMaya issue 3, ComfyUI-Maya1_TTS issue 12).
    """
    return speakable(text)


def _core_end(text: str) -> int:
    """Where the closing quotes, brackets, pauses and tags at the end of `text` begin."""
    end = len(text)
    while end:
        if text[end - 1] in _TAIL:
            end -= 1
        elif text[end - 1] == ">" and TAG.fullmatch(text, start := text.rfind("<", 0, end), end):
            end = start
        else:
            break
    return end


def _tags_apart(text: str) -> list[str]:
    return re.split(f"({TAG.pattern})", text) if "<" in text else [text]
