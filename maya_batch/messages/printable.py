"""Makes untrusted text safe for a terminal and a log: one line, and nothing that moves the cursor or reverses text.

Titles, texts, file names, flags and the contents of takes and checkpoints may come from anywhere.
"""

import re

#: Control characters (C0, DEL, C1), line and paragraph separators, characters that change the direction of text or are
#: invisible (of the categories Zl, Zp and Cf of Unicode 15; joiners and the soft hyphen are part of words), and lone
#: surrogates.
_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

#: The most characters of a line: a path of 4,096 and the message about it.
_LONGEST = 6000


def printable(text: object) -> str:
    """The text in one line of bounded length, with characters that a terminal acts on as escapes, like `\\x1b`."""
    whole = str(text)
    return _UNFIT.sub(_escape, whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}…")


def _escape(found: re.Match[str]) -> str:
    character, number = found.group(), ord(found.group())
    if 0xDC80 <= number <= 0xDCFF:  # how Python represents a byte of a file name that is not UTF-8
        number -= 0xDC00
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
