"""The tags of M4A and M4B files, under the names that players of audiobooks read.

Audiobookshelf reads what ffprobe prints: author from artist, narrator from composer, title from album, and the series,
its part, subtitle, ISBN, language and publisher from free-form tags of these names.
"""

from pathlib import Path
from typing import BinaryIO

from maya_batch.audio.metadata import OURS, TrackTags, tag_padding

GENRE = "Audiobook"
_AUDIOBOOK = 2
"""Apple's kind of media (`stik`) that players file under audiobooks."""
_FREE = "----:com.apple.iTunes:"
_MOST_BOXES = 64  # at the top of a file


def write_mp4(path: Path, tags: TrackTags) -> None:
    """Write `tags` to the M4A or M4B at `path`, in place of those that it has; its chapters stay.

    Raises:
        mutagen.MutagenError: the file cannot be written.
    """
    from mutagen.mp4 import MP4, MP4Cover

    file = MP4(path)
    if file.tags is None:
        file.add_tags()
    file.tags.clear()
    texts = {
        "\xa9nam": tags.title,
        "\xa9alb": tags.album,
        "\xa9ART": tags.artist,
        "aART": tags.artist,
        "\xa9wrt": tags.narrator,
        "\xa9day": tags.date,
        "\xa9gen": GENRE,
        "desc": tags.description,
        "ldes": tags.description,
    }
    free = {
        "SERIES": tags.series,
        "SERIES-PART": tags.series_number,
        "SUBTITLE": tags.subtitle,
        "PUBLISHER": tags.publisher,
        "ISBN": tags.isbn,
        "LANGUAGE": tags.language,
    }
    for name, text in texts.items():
        if text:
            file.tags[name] = [text]
    for name, text in free.items():
        if text:
            file.tags[_FREE + name] = [text.encode()]
    file.tags[_FREE + OURS] = [tags.comment.encode()]
    file.tags["stik"] = [_AUDIOBOOK]
    file.tags["trkn"] = [(tags.track, tags.tracks)]
    if tags.cover is not None:
        png = tags.cover.mime == "image/png"
        kind = MP4Cover.FORMAT_PNG if png else MP4Cover.FORMAT_JPEG
        file.tags["covr"] = [MP4Cover(tags.cover.content, kind)]
    file.save(padding=tag_padding)


def mp4_comment(file: BinaryIO, size: int) -> str | None:
    """The comment of an M4A or M4B of `size` bytes; None if it is incomplete or not written here."""
    at = 0
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4])
        if length == 1:  # the length follows in 64 bits
            length = int.from_bytes(head[8:16])
        if length < 8:
            return None
        at += length
        if at >= size:
            break
    if at != size:
        return None

    from mutagen.mp4 import MP4

    file.seek(0)
    tags = MP4(file).tags
    comments = [] if tags is None else tags.get(_FREE + OURS, [])
    return bytes(comments[0]).decode() if comments else None
