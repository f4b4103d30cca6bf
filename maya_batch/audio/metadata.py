"""The tags of a chapter file, and the comment that shows that maya-batch wrote it and that it is complete.

The readers take untrusted bytes. For a file that is incomplete or not written here they return None or raise any
Exception, which `chapter_file.read_comment` turns into None.
"""

import struct
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import BinaryIO

OURS = "maya-batch"
"""Marks a file as written here: the software name, and the description of the comment in ID3."""

LARGEST_TAG = 1 << 24
"""In bytes; larger tags are not read."""
_MOST_CHUNKS = 64  # in a WAV, before its comment
_XING = {b"Info", b"Xing"}


@dataclass(frozen=True)
class Picture:
    """A picture in the tags of a file."""

    content: bytes = field(repr=False)
    mime: str
    """`image/jpeg` or `image/png`."""


@dataclass(frozen=True)
class TrackTags:
    """The tags of one file. Empty ones are not written.

    WAV has no narrator, publisher, series and cover; WAV and MP3 have none of those below the cover.
    """

    title: str
    album: str
    artist: str
    track: int
    """The number of the chapter, from 1."""
    tracks: int
    comment: str
    """What `read_comment` returns."""
    narrator: str = ""
    publisher: str = ""
    date: str = ""
    """A year, a month or a day: `1895`, `1895-05` or `1895-05-07`."""
    series: str = ""
    series_number: str = ""
    cover: Picture | None = None
    subtitle: str = ""
    description: str = ""
    isbn: str = ""
    language: str = ""
    """As BCP 47 has it: `en`, `en-GB`."""

    def __post_init__(self) -> None:
        for tag in fields(self):
            text = getattr(self, tag.name)
            if not isinstance(text, str):
                continue
            if "\0" in text:  # ends a text in WAV, splits it in ID3
                raise ValueError(f"tag {tag.name} contains a NUL character: {text!r}")
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"tag {tag.name} is not valid Unicode: {text!r}") from error


def wav_strings(tags: TrackTags) -> dict[str, str]:
    """`tags` under libsndfile's names, as attributes of a `soundfile.SoundFile`."""
    strings = {
        "title": tags.title,
        "album": tags.album,
        "artist": tags.artist,
        "tracknumber": f"{tags.track}/{tags.tracks}",
        "date": tags.date,
        "comment": tags.comment,
        "software": OURS,
    }
    return {name: text for name, text in strings.items() if text}


def wav_comment(file: BinaryIO, size: int) -> str | None:
    """The comment of a WAV of `size` bytes; "" without one; None if it is incomplete or not written here."""
    name, length, kind = struct.unpack("<4sI4s", file.read(12))
    if name != b"RIFF" or kind != b"WAVE" or length + 8 != size:
        return None
    for _ in range(_MOST_CHUNKS):
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"LIST" and length <= LARGEST_TAG:
            body = file.read(length)
            if body[:4] == b"INFO":
                texts = _info_texts(body[4:])
                return texts.get(b"ICMT", "") if texts.get(b"ISFT", "").startswith(OURS) else None
            file.seek(length % 2, 1)
        else:
            file.seek(length + length % 2, 1)  # chunks start at even offsets
    return None


def _info_texts(body: bytes) -> dict[bytes, str]:
    texts = {}
    at = 0
    while at + 8 <= len(body):
        name, length = struct.unpack_from("<4sI", body, at)
        texts[name] = body[at + 8 : at + 8 + length].split(b"\0", 1)[0].decode()
        at += 8 + length + length % 2
    return texts


def write_id3(path: Path, tags: TrackTags) -> None:
    """Write `tags` to the start of the MP3 at `path`, as ID3v2.4 in UTF-8, in place of those that it has.

    Raises:
        mutagen.MutagenError: the file cannot be written.
    """
    from mutagen.id3 import (
        APIC,
        COMM,
        ID3,
        MVIN,
        MVNM,
        TALB,
        TCOM,
        TDRC,
        TIT2,
        TPE1,
        TPUB,
        TRCK,
        TSSE,
        Encoding,
        PictureType,
    )

    utf8 = Encoding.UTF8
    id3 = ID3()
    texts = (
        (TIT2, tags.title),
        (TALB, tags.album),
        (TPE1, tags.artist),
        (TCOM, tags.narrator),  # where players of audiobooks look for the narrator
        (TPUB, tags.publisher),
        (TDRC, tags.date),
        (MVNM, tags.series),
        (MVIN, tags.series_number),
        (TSSE, OURS),
    )
    for frame, text in texts:
        id3.add(frame(encoding=utf8, text=[text]))  # mutagen does not write empty ones
    if tags.cover is not None:
        id3.add(APIC(encoding=utf8, mime=tags.cover.mime, type=PictureType.COVER_FRONT, data=tags.cover.content))
    id3.add(TRCK(encoding=utf8, text=[f"{tags.track}/{tags.tracks}"]))
    id3.add(COMM(encoding=utf8, lang="eng", desc=OURS, text=[tags.comment]))
    with path.open("rb") as file:
        sound = path.stat().st_size - id3_length(file.read(10))
    # What mutagen leaves in a new file, whatever was there before.
    id3.save(path, v1=0, v2_version=4, padding=lambda _: 1024 + sound // 1000)


def tag_padding(_: object) -> int:
    """How many empty bytes mutagen leaves after tags: as many whatever was there before."""
    return 1024


def id3_length(head: bytes) -> int:
    """The bytes of an ID3 tag, by the first ten of a file; 0 without one."""
    if len(head) < 10:
        return 0
    name, _, flags, *digits = struct.unpack(">3sHB4B", head)
    length = 0
    for digit in digits:
        length = length << 7 | digit & 0x7F
    if name != b"ID3" or length > LARGEST_TAG:
        return 0
    return 10 + length + (10 if flags & 0x10 else 0)  # the sound begins after the tag and its footer


def id3_comment(file: BinaryIO, album: str = "") -> str | None:
    """The comment in an ID3 tag; "" without one; None if it was not written here, or its album begins otherwise."""
    from mutagen.id3 import COMM, ID3, TALB, TSSE

    file.seek(0)
    # Only these frames: decoding pictures takes time.
    id3 = ID3(file, known_frames={"COMM": COMM, "TALB": TALB, "TSSE": TSSE}, load_v1=False)
    if str(id3.get("TSSE", "")) != OURS or not str(id3.get("TALB", "")).startswith(album):
        return None
    return next((str(comment) for comment in id3.getall("COMM") if comment.desc == OURS), "")


def mp3_comment(file: BinaryIO, size: int) -> str | None:
    """The comment of an MP3 of `size` bytes; "" without one; None if it is incomplete or not written here."""
    audio = id3_length(file.read(10))
    if not audio:
        return None
    # The first frame has no sound but the encoder's count of the stream's bytes.
    file.seek(audio)
    frame = file.read(64)
    xing = next((at for mark in _XING if (at := frame.find(mark)) > 0), 0)
    if not xing:
        return None
    _, content, _, plural = struct.unpack_from(">4sIII", frame, xing)
    return id3_comment(file) if content & 3 == 3 and plural == size - audio else None
