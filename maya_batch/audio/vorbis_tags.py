"""The tags of FLAC and Opus files: Vorbis comments, under the names that players of audiobooks read."""

import base64
from pathlib import Path
from typing import BinaryIO

from maya_batch.audio.metadata import LARGEST_TAG, OURS, Picture, TrackTags, tag_padding
from maya_batch.audio.mp4_tags import GENRE

_BYTES = "maya-batch-bytes"
"""How many bytes of sound a FLAC has: the format itself does not say where it ends."""
_COMMENTS = 4  # the block of Vorbis comments in FLAC (RFC 9639, 8.1)
_COVER_FRONT = 3
_LAST_PAGE = 4  # the flag of an Ogg stream's last page (RFC 3533, 6)
_LARGEST_PAGE = 65307  # bytes (RFC 3533, 6)


def write_flac(path: Path, tags: TrackTags) -> None:
    """Write `tags` to the FLAC at `path`, in place of those that it has.

    Raises:
        mutagen.MutagenError: the file cannot be written.
    """
    from mutagen.flac import FLAC

    with path.open("rb") as opened:
        sound = path.stat().st_size - _blocks(opened)[1]
    file = FLAC(path)
    file.delete()
    file.clear_pictures()
    for name, text in {**_texts(tags), _BYTES: str(sound)}.items():
        file[name] = text
    if tags.cover is not None:
        file.add_picture(_picture(tags.cover))
    file.save(padding=tag_padding)


def write_opus(path: Path, tags: TrackTags) -> None:
    """Write `tags` to the Opus file at `path`, in place of those that it has.

    Raises:
        mutagen.MutagenError: the file cannot be written.
    """
    from mutagen.oggopus import OggOpus

    file = OggOpus(path)
    file.tags.clear()
    for name, text in _texts(tags).items():
        file[name] = text
    if tags.cover is not None:
        file["metadata_block_picture"] = base64.b64encode(_picture(tags.cover).write()).decode("ascii")
    file.save(padding=tag_padding)


def flac_comment(file: BinaryIO, size: int) -> str | None:
    """The comment of a FLAC of `size` bytes; None if it is incomplete or not written here."""
    from mutagen.flac import VCFLACDict

    comments, sound = _blocks(file)
    tags = VCFLACDict(comments)
    if tags.get(_BYTES) != [str(size - sound)]:
        return None
    return str(tags[OURS][0])


def opus_comment(file: BinaryIO, size: int) -> str | None:
    """The comment of an Opus file of `size` bytes; None if it is incomplete or not written here."""
    from mutagen.oggopus import OggOpus

    file.seek(max(0, size - _LARGEST_PAGE))
    end = file.read()
    page = end[end.rfind(b"OggS") :]
    # A page is its head of 27 bytes, the lengths of its segments, and the segments.
    lengths = page[27 : 27 + page[26]]
    if not page[5] & _LAST_PAGE or 27 + len(lengths) + sum(lengths) != len(page):
        return None
    file.seek(0)
    return str(OggOpus(file)[OURS][0])


def _texts(tags: TrackTags) -> dict[str, str]:
    texts = {
        "title": tags.title,
        "album": tags.album,
        "artist": tags.artist,
        "albumartist": tags.artist,
        "composer": tags.narrator,
        "publisher": tags.publisher,
        "date": tags.date,
        "series": tags.series,
        "series-part": tags.series_number,
        "subtitle": tags.subtitle,
        "description": tags.description,
        "isbn": tags.isbn,
        "language": tags.language,
    }
    ours = {"tracknumber": str(tags.track), "tracktotal": str(tags.tracks), "genre": GENRE, OURS: tags.comment}
    return {name: text for name, text in texts.items() if text} | ours


def _picture(cover: Picture):  # type: ignore[no-untyped-def]
    """The cover as mutagen's Picture."""
    from mutagen.flac import Picture as FlacPicture

    picture = FlacPicture()
    picture.type, picture.mime, picture.data = _COVER_FRONT, cover.mime, cover.content
    return picture


def _blocks(file: BinaryIO) -> tuple[bytes, int]:
    """The Vorbis comments of a FLAC, and where its sound begins, in bytes."""
    at, comments = 4, b""
    while True:
        file.seek(at)
        head = file.read(4)
        length = int.from_bytes(head[1:4])
        if head[0] & 0x7F == _COMMENTS and length <= LARGEST_TAG:
            comments = file.read(length)
        at += 4 + length
        if head[0] & 0x80:
            return comments, at
