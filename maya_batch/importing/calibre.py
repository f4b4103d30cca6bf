"""What calibre keeps next to a book: `metadata.opf`, which people edit, and the cover that it names."""

from pathlib import Path

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.files.safe_open import safe_read
from maya_batch.importing.blocks import Image, Metadata
from maya_batch.importing.epub_cover import as_image
from maya_batch.importing.metadata import filled, read_metadata
from maya_batch.importing.xhtml_elements import name_of
from maya_batch.importing.xhtml_encoding import decode
from maya_batch.importing.xhtml_tree import parse
from maya_batch.manifest.cover import LARGEST_COVER
from maya_batch.messages.quoting import quoted

_LARGEST = 2**20


def with_calibre(path: Path, metadata: Metadata, cover: Image | None) -> tuple[Metadata, Image | None, list[str]]:
    """The metadata and the cover of the book at `path`, completed by calibre's, and remarks on what is taken.

    calibre's metadata goes before that of the book, its cover is taken if the book has none. Both are another book's,
    and left alone, if the titles differ and other EPUBs are in the folder.
    """
    file = path.with_name("metadata.opf")
    try:
        root = parse(decode(safe_read(file, _LARGEST)).text, file.name).root
        alone = sum(other.suffix.lower() == ".epub" for other in path.parent.iterdir()) == 1
    except FileNotFoundError:
        return metadata, cover, []
    except (OSError, UsageError):
        return metadata, cover, [f"{file} cannot be read"]
    calibre = Metadata() if root is None else read_metadata(root)
    if root is None or calibre == Metadata() or not (alone or calibre.title.casefold() == metadata.title.casefold()):
        return metadata, cover, []
    merged = filled(calibre, metadata)
    remarks = [] if merged == metadata else [f"metadata is taken from calibre's {file.name}"]
    if cover is None and (name := _cover_name(root)):
        cover = _read_cover(file.with_name(name))
        remarks.append(
            f"the cover is taken from calibre's {quoted(name)}"
            if cover
            else f"calibre's cover {quoted(name)} cannot be read, or is neither JPEG nor PNG"
        )
    return merged, cover, remarks


def _cover_name(root: etree._Element) -> str:
    """The file that the guide names as the cover, "" if it names none in the same folder."""
    for element in root.iter(etree.Element):
        if name_of(element) == "reference" and element.get("type") == "cover":
            name = element.get("href") or ""
            return name if name == Path(name).name and "\0" not in name else ""
    return ""


def _read_cover(file: Path) -> Image | None:
    try:
        return as_image(safe_read(file, LARGEST_COVER))
    except OSError:
        return None
