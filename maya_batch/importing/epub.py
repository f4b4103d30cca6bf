"""EPUB 2 and 3 -> a manuscript: the files of the spine, one after the other."""

from dataclasses import replace
from pathlib import Path

from maya_batch.errors import UsageError
from maya_batch.importing.blocks import Block, ContentsEntry, Document
from maya_batch.importing.calibre import with_calibre
from maya_batch.importing.contents import read_contents
from maya_batch.importing.epub_archive import Archive, opened
from maya_batch.importing.epub_cover import read_cover
from maya_batch.importing.epub_protection import refuse_protected
from maya_batch.importing.metadata import read_metadata
from maya_batch.importing.package import Package, read_package
from maya_batch.importing.xhtml_blocks import read_blocks
from maya_batch.messages.quoting import quoted_names

#: All texts of a book. A block takes about 1 KB of memory.
_MOST_CHARACTERS, _MOST_BLOCKS = 64_000_000, 200_000
#: What a block of pages without text may be.
_NO_TEXT = ("figure", "page_break", "scene_break")
_MOST_REMARKS = 100


def read_epub(path: Path, *, keep: frozenset[str] = frozenset()) -> Document:
    """Read an EPUB. `keep` is that of `read_blocks`.

    The spine is the reading order. Files that it marks as non-linear stay at their place; their blocks have the role
    "non-linear". `with_calibre` completes the metadata and the cover.

    Raises:
        UsageError: no EPUB, damaged, encrypted, too large, or without text; one line says which.
    """
    with opened(path) as archive:
        package = read_package(archive)
        refuse_protected(archive, {package.name, *(item.name for item in package.spine)})
        blocks, markup, sizes, remarks = _read_spine(archive, package, keep)
        if not any(any(map(str.isalnum, block.text)) for block in blocks if block.kind not in _NO_TEXT):
            raise UsageError(f"{path}: {_why_no_text(package, blocks)}")
        contents, of_contents = read_contents(archive, package)
        contents = _with_anchors(contents, blocks, of_contents)
        cover, of_cover = read_cover(archive, package)
        metadata, cover, of_calibre = with_calibre(path, read_metadata(package.root), cover)
        remarks = [*archive.remarks, *package.remarks, *remarks, *of_contents, of_cover, *of_calibre]
        remarks = [remark for remark in dict.fromkeys(remarks) if remark]
    if (more := len(remarks) - _MOST_REMARKS) > 0:
        remarks[_MOST_REMARKS:] = [f"… and {more:,} more remarks"]
    return Document(metadata, tuple(blocks), tuple(contents), markup, sizes, cover, tuple(remarks))


def _read_spine(
    archive: Archive, package: Package, keep: frozenset[str]
) -> tuple[list[Block], dict[str, int], dict[str, int], list[str]]:
    blocks: list[Block] = []
    markup: dict[str, int] = {}
    sizes: dict[str, int] = {}
    remarks: list[str] = []
    for item in package.spine:
        reading = read_blocks(archive.read(item.name), item.name, keep=keep, bounds=archive.bounds)
        if item.name in package.non_linear:
            blocks.extend(replace(block, roles=block.roles | {"non-linear"}) for block in reading.blocks)
        else:
            blocks.extend(reading.blocks)
        markup[item.name], sizes[item.name] = reading.markup, reading.characters
        remarks.extend(reading.remarks)
        if sum(sizes.values()) > _MOST_CHARACTERS or len(blocks) > _MOST_BLOCKS:
            raise UsageError(
                f"{archive.path}: the book has more than {_MOST_CHARACTERS:,} characters or {_MOST_BLOCKS:,} paragraphs"
            )
    return blocks, markup, sizes, remarks


def _why_no_text(package: Package, blocks: list[Block]) -> str:
    images = package.images + sum(block.kind == "figure" for block in blocks)
    if images or any("alternative text" in block.omitted for block in blocks):
        return "the book has images only (scans?) and no text; run text recognition (OCR) first"
    return "the book has no text"


def _with_anchors(contents: list[ContentsEntry], blocks: list[Block], remarks: list[str]) -> list[ContentsEntry]:
    """The entries without anchors that lead nowhere, and a remark on them."""
    places = {(block.place.file, anchor) for block in blocks for anchor in block.ids}
    entries: list[ContentsEntry] = []
    lost: list[str] = []
    for entry in contents:
        if entry.anchor and (entry.file, entry.anchor) not in places:
            lost.append(f"{entry.file}#{entry.anchor}")
            entry = replace(entry, anchor="")
        entries.append(entry)
    if lost:
        what = "contents entry leads" if len(lost) == 1 else "contents entries lead"
        remarks.append(f"{len(lost):,} {what} to a missing id; the file's beginning is taken: {quoted_names(lost)}")
    return entries
