"""Reads the text files that a manifest names: they are inside its folder, and in UTF-8."""

from maya_batch.errors import Finding
from maya_batch.manifest.checks import Checker
from maya_batch.manifest.source_text import UnreadableError, decode, read_bytes, way_out
from maya_batch.manifest.yaml_positions import DataPath
from maya_batch.messages.quoting import quoted


def read_book_file(checker: Checker, path: DataPath, file: str, shown: str, kind: str) -> tuple[str, list[Finding]]:
    """The text of a file with newline characters alone, and its mistakes; as `read_book_bytes`."""
    raw = read_book_bytes(checker, path, file, shown, kind)
    if isinstance(raw, Finding):
        return "", [raw]
    text, findings = decode(raw, shown)
    return unix_lines(text), findings


def read_book_bytes(checker: Checker, path: DataPath, file: str, shown: str, kind: str) -> bytes | Finding:
    """The content of a file, or why it cannot be read.

    `path` is where the manifest names it, `shown` how messages show it, `kind` what it is, like "the chapter file".
    """
    how = way_out(checker.folder, file)
    if how:
        mend = "move it into that folder and write its relative path"
        return checker.finding(path, f"{kind} {quoted(file)} {how}", mend)
    try:
        return read_bytes(checker.folder / file)
    except UnreadableError as error:
        return checker.finding(path, f"{kind} {quoted(shown)} {error}")


def unix_lines(text: str) -> str:
    """A text whose lines end with a newline character alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
