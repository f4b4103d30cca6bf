"""Names of files and folders that people see: a title as it is written, on any file system."""

import unicodedata

#: What Windows, macOS or Linux do not allow in a name, or shells and servers read otherwise.
_FORBIDDEN = frozenset('/\\:*?"<>|')
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))})
#: Bytes of UTF-8: file systems allow 255, and the part number, the suffix and `.part` are added.
_LONGEST = 150


def file_name(text: str, otherwise: str) -> str:
    """A title as the name of a file or folder, without suffix; `otherwise` if nothing of it can be kept."""
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(" " if each in _FORBIDDEN or unicodedata.category(each)[0] == "C" else each for each in composed)
    # Names that begin with a dot are hidden, and Windows drops dots and spaces at the end.
    name = " ".join(kept.split()).encode()[:_LONGEST].decode(errors="ignore").strip(" .")
    return otherwise if not name or name.split(".")[0].lower() in _RESERVED else name
