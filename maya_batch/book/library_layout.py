"""Where a library server looks for a book: the folders, and the files next to the audio."""

from maya_batch.audio.metadata import OURS
from maya_batch.files.file_names import file_name
from maya_batch.manifest import Book, Manuscript

OPF_NAME = "metadata.opf"

#: The generator that metadata.opf names; a file without it is not overwritten.
_GENERATOR = f'<meta name="generator" content="{OURS}"/>'.encode()

_OPF, _DC = "http://www.idpf.org/2007/opf", "http://purl.org/dc/elements/1.1/"
_COVERS = {"image/jpeg": "cover.jpg", "image/png": "cover.png"}


def layout_folders(book: Book) -> list[str]:
    """The folders below the output folder that the audio is in: author, series if there is one, and title."""
    if book.output.layout == "flat":
        return []
    series = [] if book.series is None else [file_name(book.series.name, "Series")]
    author = [file_name(book.author, "Author")] if book.author else []
    return [*author, *series, file_name(book.title, "Book")]


def companions(manuscript: Manuscript) -> dict[str, bytes]:
    """The files that the layout has next to the audio, by name: the cover and metadata.opf; none if it is flat."""
    if manuscript.book.output.layout == "flat":
        return {}
    files, cover = {OPF_NAME: opf(manuscript.book)}, manuscript.cover
    return files if cover is None else files | {_COVERS[cover.mime]: cover.content}


def is_opf(content: bytes) -> bool:
    """Whether this is a metadata.opf of this program."""
    return _GENERATOR in content


def opf(book: Book) -> bytes:
    """A book's metadata.opf, in the form of OPF 2.0, with Calibre's names for the series.

    Audiobookshelf reads the subtitle from dc:subtitle, and the narrator from the creator with the role nrt.
    """
    from lxml import etree

    # The prefix is part of what readers look for: `package` without one, and `opf:role`.
    package = etree.Element(f"{{{_OPF}}}package", {"version": "2.0"}, nsmap={None: _OPF, "dc": _DC, "opf": _OPF})
    metadata = etree.SubElement(package, f"{{{_OPF}}}metadata")
    role, scheme = f"{{{_OPF}}}role", f"{{{_OPF}}}scheme"
    for name, text, attributes in (
        ("title", book.title, {}),
        ("subtitle", book.subtitle, {}),
        ("creator", book.author, {role: "aut"}),
        ("creator", book.narrator, {role: "nrt"}),
        ("publisher", book.publisher, {}),
        ("date", book.date, {}),
        ("description", book.description, {}),
        ("language", book.language, {}),
        ("identifier", book.isbn, {scheme: "ISBN"}),
    ):
        if text:
            etree.SubElement(metadata, f"{{{_DC}}}{name}", attributes).text = text
    metas = {"generator": OURS}
    if book.series is not None:
        metas["calibre:series"] = book.series.name
        if book.series.number is not None:
            metas["calibre:series_index"] = f"{book.series.number:g}"
    for name, text in metas.items():
        etree.SubElement(metadata, f"{{{_OPF}}}meta", {"name": name, "content": text})
    content: bytes = etree.tostring(package, encoding="utf-8", xml_declaration=True, pretty_print=True)
    return content
