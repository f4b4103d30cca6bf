"""Decodes manuscripts of plain text, Markdown and HTML."""

import codecs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GLANCE = 4096
"""Bytes that are examined for UTF-16 without a byte order mark."""


class NotTextError(Exception):
    """Bytes are no text, or hold more than any book; the message says why and follows the name of the file."""


def decode_text(content: bytes) -> tuple[str, list[str]]:
    """The text without its byte order mark, and a remark if its encoding had to be guessed.

    A byte order mark decides; without one it is UTF-16 if every other byte is zero, else UTF-8, else Windows-1252.

    Raises:
        NotTextError: the bytes are no text of that encoding, or have zeros.
    """
    encoding = next((name for mark, name in _BOMS if content.startswith(mark)), "") or _utf_16(content[:_GLANCE])
    if encoding:
        try:
            text = content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise NotTextError(f"is not valid {encoding.upper()}: byte {error.start:,} is wrong") from None
        return _checked(text), []
    try:
        return _checked(content.decode()), []
    except UnicodeDecodeError as error:
        # Five bytes of Windows-1252 stand for nothing; they are replaced.
        text = _checked(content.decode("cp1252", errors="replace"))
        return text, [f"the text is not UTF-8 (byte {error.start:,}); it was read as Windows-1252"]


def _checked(text: str) -> str:
    if "\0" in text:
        raise NotTextError("is not a text: it contains zero bytes")
    return text


def _utf_16(start: bytes) -> str:
    """The byte order of UTF-16 without a mark, seen from the zeros of Latin letters."""
    if len(start) < 4:
        return ""
    even, odd = start[::2].count(0), start[1::2].count(0)
    half = len(start) // 4
    return (
        "utf-16-le"
        if odd > half and even < odd // 8 + 1
        else "utf-16-be"
        if even > half and odd < even // 8 + 1
        else ""
    )
