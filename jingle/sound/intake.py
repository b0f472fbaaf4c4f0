"""Finds the songs of a folder, and what is wrong with a file that libsndfile would not notice.

libsndfile reads a WAV or Ogg that was cut off as a shorter one, and of two MP3s glued together the
first, without a word: here their own headers are asked.
"""

import re
import struct
from pathlib import Path

SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".mp3", ".opus", ".oga", ".aiff", ".aif", ".aifc"),
    *(".caf", ".au", ".w64", ".rf64"),
)
# Audio that libsndfile does not read: named and counted, never passed over in silence.
FOREIGN = (".m4a", ".aac", ".mp4", ".m4b", ".wma", ".ape", ".wv", ".ac3", ".webm", ".mka", ".dsf")
CONVERT = "convert it, for instance by `ffmpeg -i SONG SONG.flac`"
# What streaming writers leave as a RIFF's length: none, the most, or sox's 7ffff000 and a header.
STREAMED = (0, 0xFFFFFFFF, 0x7FFFFFFF, *range(0x7FFFF000, 0x7FFFF100))
MP3_TABLE = re.compile(rb"(?:Xing|Info)\x00\x00\x00[\x00-\x0f]|VBRI\x00\x01")
MP3_TAG = re.compile(rb"ID3[\x02-\x04]\x00[\x00-\xf0][\x00-\x7f]{4}")


def songs_in(folder: Path, *, deep: bool = True) -> tuple[list[Path], list[str]]:
    """Audio files under `folder`, sorted, and a line for each that has a format nobody reads here.

    Hidden files are none: `._song.mp3` is what macOS leaves beside a `song.mp3`.

    Args:
        folder: where to look.
        deep: in its subfolders too.
    """
    found = sorted(folder.rglob("*") if deep else folder.iterdir())
    found = [f for f in found if not f.name.startswith(".") and f.is_file()]
    foreign = [
        f"{f}: {f.suffix} cannot be read here; {CONVERT}"
        for f in found
        if f.suffix.lower() in FOREIGN
    ]
    return [f for f in found if f.suffix.lower() in SUFFIXES], foreign


def missing_wav_bytes(head: bytes, size: int) -> int:
    """How many bytes a RIFF file of `size` bytes lacks by its own header; 0 for other formats."""
    if len(head) < 8 or head[:4] != b"RIFF":
        return 0
    (claimed,) = struct.unpack("<I", head[4:8])
    # one byte of slack: some writers leave out the pad byte of an odd chunk
    missing = claimed + 8 - size
    return missing if claimed not in STREAMED and missing > 1 else 0


def ogg_ends(tail: bytes) -> bool:
    """Whether the end of an Ogg file (its last 128 KiB) holds a whole last page, marked as such.

    RFC 3533: a page is 27 bytes, a table of segment lengths, the segments; bit 2 of byte 5 marks
    the last page of a stream.
    """
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return False
    whole = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return bool(page[5] & 4) and len(page) >= whole


def mp3_starts(content: bytes) -> int:
    """How many recordings an MP3 file holds, by the tables and tags that stand where one begins."""
    tables = [m for m in MP3_TABLE.finditer(content) if _in_frame(content, m.start())]
    later = [m for m in MP3_TAG.finditer(content, 1) if _sound_after(content, m.start())]
    return max(len(tables), 1 + len(later))


def _in_frame(content: bytes, at: int) -> bool:
    """Whether a table stands where an MPEG layer III frame keeps it: after its side information."""
    gaps = (4 + 9, 4 + 17, 4 + 32)
    heads = [content[at - gap : at - gap + 2] for gap in gaps if at >= gap]
    return any(len(h) == 2 and h[0] == 0xFF and h[1] & 0xE6 == 0xE2 for h in heads)


def _sound_after(content: bytes, at: int) -> bool:
    """Whether an MPEG frame follows the ID3v2 tag at `at`, as it does at the start of a song."""
    size = content[at + 6 : at + 10]
    after = at + 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    head = content[after : after + 2]
    return len(head) == 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0


def fault(file: Path, *, whole: bool) -> str:
    """What is wrong with the container of `file`, and the remedy; empty if nothing is.

    Args:
        file: an existing file that is not empty.
        whole: look through all of an MP3, where two may be glued; costs a read of the file.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(8)
        if missing := missing_wav_bytes(head, size):
            return f"truncated, {missing} bytes fewer than its header says; copy it again"
        if head[:4] == b"OggS":
            stream.seek(max(0, size - 2**17))
            if not ogg_ends(stream.read()):
                return "truncated, its last Ogg page is missing; copy it again"
        elif whole and (head[:3] == b"ID3" or file.suffix.lower() == ".mp3"):
            stream.seek(0)
            count = mp3_starts(stream.read())
            if count > 1:
                return f"holds {count} recordings glued together; split it into one file each"
    return ""
