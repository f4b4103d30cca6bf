"""The encoding of an XHTML or HTML file: byte order mark, XML declaration, meta element, UTF-8, else Windows-1252."""

import codecs
import re
from typing import NamedTuple

from maya_batch.messages.quoting import quoted

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNMARKED = ((b"<\0", "utf-16-le"), (b"\0<", "utf-16-be"))
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})"""
    rb"""|<meta[^>]{0,200}?charset\s*=\s*["']?([\w.:-]{1,40})""",
    re.I,
)
#: HTML looks for `meta` in the first 1,024 bytes; some files have a long comment before it.
_HEAD = 4096
#: Encodings of Python that are for other things than text files.
_NO_TEXT = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7", "mbcs", "oem"}

#: What the bytes 80 to 9F are in Windows-1252. Five are not assigned there; HTML gives them the control of that number.
_WINDOWS = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0x100)}
#: `surrogateescape` decodes the byte XX that is not UTF-8 to U+DCXX.
_ESCAPED = re.compile("[\udc80-\udcff]")
#: HTML reads the controls U+0080 to U+009F as Windows-1252: no text has them, converters leave them behind.
_CONTROL = re.compile("[\x80-\x9f]")


class Decoded(NamedTuple):
    """The text of a file; a line feed ends each line."""

    text: str
    remark: str
    """What a person should know of the encoding, without the name of the file; "" if there is nothing."""


def decode(content: bytes) -> Decoded:
    """Decode a file. Every byte becomes something: bytes that are not in the encoding are read as Windows-1252.

    Files that declare UTF-8 and are Windows-1252, or are both in places, are read right.
    """
    for mark, name in (*_MARKS, *_UNMARKED):
        if content.startswith(mark):
            return _decoded(content[len(mark) if name == "utf-8" else 0 :], name)
    found = _DECLARED.search(content[:_HEAD])
    if found is None:
        return _decoded(content, "utf-8")
    declared = (found[1] or found[2]).decode("ascii", "replace").lower()
    codec = _known(declared)
    if codec is None:
        decoded = _decoded(content, "utf-8")
        return Decoded(decoded.text, decoded.remark or f"declares the encoding {quoted(declared)}; it is read as UTF-8")
    return _decoded(content, codec)


def _known(declared: str) -> str | None:
    """The codec for a declared encoding, None if there is none."""
    try:
        name = codecs.lookup(declared).name
        "".encode(name)  # codecs that do not encode text raise a LookupError
    except LookupError:
        return None
    if name.replace("_", "-") in _NO_TEXT:
        return None
    # Without a byte order mark, a file that can be searched for its declaration in ASCII is not UTF-16.
    return "utf-8" if name.startswith(("utf-16", "utf-32", "ascii")) else name


def _decoded(content: bytes, name: str) -> Decoded:
    remark = ""
    if name == "utf-8":
        text = content.decode("utf-8", "surrogateescape")
        if _ESCAPED.search(text):
            text = _ESCAPED.sub(lambda found: _WINDOWS[ord(found.group()) - 0xDC00], text)
            remark = "has bytes that are not UTF-8; they are read as Windows-1252"
    elif name in ("iso8859-1", "cp1252"):
        text = content.decode("latin-1")  # the controls are replaced below
    else:
        text = content.decode(name, "replace")
        if "\ufffd" in text:
            remark = f"has bytes that are not {name.upper()}; they are read as U+FFFD"
    if _CONTROL.search(text):
        text = _CONTROL.sub(lambda found: _WINDOWS[ord(found.group())], text)
    return Decoded(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"), remark)
