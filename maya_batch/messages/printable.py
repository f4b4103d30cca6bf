"""Text of others made fit for a terminal and a log: one line, in which nothing moves a cursor or turns text around.

Titles, texts, file names, flags, and what stands in takes and checkpoints: all of it may come from anywhere.
"""

import re

#: Control characters (C0, DEL, C1), line and paragraph separators, what changes the direction of text or is seen
#: nowhere (of the categories Zl, Zp and Cf of Unicode 15; the joiners and the soft hyphen are letters' business), and
#: lone surrogates.
_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


#: Characters of one line: a path of 4,096 and what is said of it.
_LONGEST = 6000


def printable(text: object) -> str:
    """The text in one line of bounded length, with what a terminal would act on shown as an escape, like `\\x1b`."""
    whole = str(text)
    return _UNFIT.sub(_escape, whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}…")


def _escape(found: re.Match[str]) -> str:
    character, number = found.group(), ord(found.group())
    if 0xDC80 <= number <= 0xDCFF:  # how Python keeps a byte of a file name that is no text
        number -= 0xDC00
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
