"""Finds out whether the text of an EPUB is encrypted. Fonts may be obfuscated without that."""

from collections.abc import Collection

from lxml import etree

from maya_batch.errors import UsageError
from maya_batch.importing.epub_archive import Archive
from maya_batch.importing.xhtml_elements import name_of
from maya_batch.importing.xhtml_encoding import decode
from maya_batch.importing.xhtml_tree import parse

_ENCRYPTION = "META-INF/encryption.xml"
#: The file that each scheme adds.
_SCHEMES = {
    "META-INF/license.lcpl": "Readium LCP",
    "META-INF/sinf.xml": "Apple FairPlay",
    "META-INF/rights.xml": "Adobe or Kobo DRM",
}
_LARGEST = 16 * 2**20


def refuse_protected(archive: Archive, texts: Collection[str]) -> None:
    """Raise a UsageError if one of these entries is encrypted."""
    encrypted = archive.find(_ENCRYPTION)
    if encrypted is None:
        return
    locked = _locked(archive, encrypted) & set(texts)
    if not locked:
        return
    scheme = next((scheme for file, scheme in _SCHEMES.items() if archive.find(file)), "DRM")
    raise UsageError(
        f"{archive.path}: the text is encrypted ({scheme}), so it cannot be read; "
        "import a copy without DRM, which the shop or the publisher may offer"
    )


def _locked(archive: Archive, encrypted: str) -> set[str]:
    root = parse(decode(archive.read(encrypted, _LARGEST)).text, encrypted, archive.bounds).root
    if root is None:
        return set()
    names = set()
    for reference in root.iter(etree.Element):
        if name_of(reference) == "cipherreference":
            # Relative to the root of the book; some begin with a slash.
            target, _ = archive.resolve(reference.get("URI") or reference.get("uri") or "", "")
            if (name := archive.find(target)) is not None:
                names.add(name)
    return names
