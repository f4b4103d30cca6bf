"""Makes import.json; `import_record` documents its keys and reads it."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from maya_batch.importing.chapter_files import ChapterFile
from maya_batch.importing.import_record import VERSION, to_json
from maya_batch.importing.manuscript import Imported


def record_content(
    imported: Imported,
    chapters: Sequence[ChapterFile],
    gone: Sequence[dict[str, Any]],
    digests: dict[str, str],
    book: dict[str, Any],
) -> bytes:
    """The import.json of an import."""
    sums = imported.sums
    data = {
        "version": VERSION,
        "program": f"maya-batch {version('maya-batch')}",
        "source": {
            "name": imported.name,
            "sha256": imported.sha256,
            "bytes": imported.size,
            "format": imported.kind,
        },
        "options": imported.reading.options(),
        "remarks": list(imported.remarks),
        "characters": asdict(sums),
        "files": digests,
        "book": book,
        "chapters": [
            {
                **each.entry(),
                "characters": sum(len(block.text) for block in each.chapter.blocks),
                "paragraphs": [[p.place.file, p.place.element, p.kind] for p in each.paragraphs],
                "announced": [[b.place.file, b.place.element, b.kind] for b in each.chapter.announced],
            }
            for each in chapters
        ],
        **({"gone": gone} if gone else {}),
    }
    return to_json(data)
