"""The typography that the model is given: spaces, invisible characters, the full stop at the end."""

import re
import unicodedata

from maya_batch.text.emotion_tags import TAG

# Characters without a sound: controls, soft hyphen, zero-width and direction marks, lone surrogates.
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SPACE = re.compile(r"\s+")
_STOPS = frozenset(".!?…‽。！？")
_CLOSERS = frozenset("\"'”’»›)]} ")
_PAUSES = ",;:-‐‑‒–—―−⸺⸻~"
_TAG_OR_PAUSE = re.compile(rf"({TAG.pattern})|[{re.escape(_PAUSES)}]+")
_TAIL = _CLOSERS | frozenset(_PAUSES)


def speakable(text: str) -> str:
    """Return `text` with its typography cleaned up and a full stop where it has no end; idempotent.

    Runs of whitespace become one space, characters without a sound go, composed letters (NFC) stay. If what
    comes before closing quotes, brackets and tags is no full stop, `!`, `?` or `…`, a full stop is put there
    in the place of any comma, colon or dash: without it Maya1 tends to repeat itself.
    """
    text = _SPACE.sub(" ", INVISIBLE.sub("", text)).strip()
    text = "".join(
        # A combining stroke after a tag would make one character of it and the tag's `>`.
        part if TAG.fullmatch(part) else unicodedata.normalize("NFC", part)
        for part in _tags_apart(text)
    )
    end = len(text)
    while end:
        if text[end - 1] in _TAIL:
            end -= 1
        elif text[end - 1] == ">" and TAG.fullmatch(text, start := text.rfind("<", 0, end), end):
            end = start
        else:
            break
    core, tail = text[:end], text[end:]
    if not core:
        return text
    stop = "" if core[-1] in _STOPS else "."
    return core + stop + _SPACE.sub(" ", _TAG_OR_PAUSE.sub(r"\1", tail)).rstrip()


def finish_description(text: str) -> str:
    """Return a voice description, cleaned like a text, with its full stop.

    Without it Maya1 often reads the description aloud (FastMaya issue 3, ComfyUI-Maya1_TTS issue 12).
    """
    return speakable(text)


def _tags_apart(text: str) -> list[str]:
    return re.split(f"({TAG.pattern})", text) if "<" in text else [text]
