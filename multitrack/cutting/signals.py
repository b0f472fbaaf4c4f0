"""What is known of a recording, from the files that people have: who speaks when, who is seen.

`T` ticks of 0.1 s, `M` speakers. Each source may be missing or noisy; of several the majority
counts.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pysubs2

from experiments.shared.errors import InputError
from experiments.shared.reading import MOST_TEXT, read_json, regular
from multitrack.cutting.hear import voices

TICKS = 10  # a second
Spans = dict[str, list[tuple[float, float]]]


@dataclass
class Signals:
    """speech: (T, M) of 0..1 for `speakers`; faces: camera -> (T,) whether a face is in it."""

    speakers: list[str]
    speech: np.ndarray
    faces: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass
class Sources:
    """The files of a recording; `wav`: speaker -> file."""

    rttm: Path | None = None
    subtitles: Path | None = None
    words: Path | None = None
    faces: Path | None = None
    wav: dict[str, Path] = field(default_factory=dict)


def gather(sources: Sources, ticks: int) -> Signals:
    """Everything over `ticks`, a speaker's activity the mean of the sources that know them.

    Raises:
        InputError: a file cannot be read, or no source says who speaks.
    """
    known: dict[str, list[np.ndarray]] = defaultdict(list)
    notes: list[str] = []
    for file, reader in (
        (sources.rttm, rttm), (sources.subtitles, subtitles), (sources.words, words)
    ):  # fmt: skip
        if file is None:
            continue
        spans = reader(file)
        if not spans:
            notes.append(f"{file.name} names no speakers: it says when, not who, and is left out")
        for name, said in spans.items():
            known[name].append(on_ticks(said, ticks))
    if sources.wav:
        heard = voices(list(sources.wav.values()), ticks)
        for name, column in zip(sources.wav, heard.T, strict=True):
            known[name].append(column)
    faces = read_faces(sources.faces, ticks) if sources.faces else {}
    if not known:
        given = [file for file in (sources.rttm, sources.subtitles, sources.words) if file]
        said = f"{', '.join(map(str, given))}: no speaker is named: " if given else ""
        raise InputError(
            f"{said}expected something that says who speaks: --rttm, --srt, --vtt or --words with "
            "speakers' names, or --wav NAME=FILE for each microphone"
        )
    speech = np.stack([np.mean(columns, 0) for columns in known.values()], 1)
    first = [int(np.argmax(column > 0.5)) for column in speech.T]
    order = sorted(range(len(first)), key=lambda m: (not (speech[:, m] > 0.5).any(), first[m]))
    names = [list(known)[m] for m in order]
    return Signals(names, speech[:, order].astype(np.float32), faces, notes)


def on_ticks(spans: list[tuple[float, float]], ticks: int) -> np.ndarray:
    """1 in the ticks whose middle lies in one of the spans (seconds)."""
    out = np.zeros(ticks, np.float32)
    for begin, end in spans:
        out[max(0, round(begin * TICKS)) : max(0, round(end * TICKS))] = 1
    return out


def _text(file: Path) -> str:
    text = regular(file, "a signal", MOST_TEXT).read_text(encoding="utf-8-sig", errors="replace")
    if "\0" in text:
        raise InputError(f"{file}: expected text, got binary data: check the path")
    return text


def rttm(file: Path) -> Spans:
    """Diarisation: `SPEAKER file channel onset duration <NA> <NA> name ...` a line (NIST RTTM)."""
    spans: Spans = defaultdict(list)
    for number, line in enumerate(_text(file).splitlines(), 1):
        parts = line.split()
        if not parts or parts[0] != "SPEAKER":
            continue
        try:
            onset, length = float(parts[3]), float(parts[4])
            spans[parts[7]].append((onset, onset + length))
        except (IndexError, ValueError):
            raise InputError(
                f"{file}, line {number}: expected SPEAKER FILE CHANNEL ONSET DURATION <NA> <NA> "
                f"NAME, got {line[:60]!r}"
            ) from None
    return spans


def subtitles(file: Path) -> Spans:
    """SRT or WebVTT whose lines name their speakers: `NAME: ...`, `[NAME] ...`, `<v NAME>...`."""
    try:
        # What pysubs2 makes of a voice tag is nothing: the name is wanted.
        text = _text(file).replace("<v ", "[").replace("<v.", "[")
        found = pysubs2.SSAFile.from_string(_closed(text), format_=file.suffix[1:].lower())
    except (pysubs2.exceptions.Pysubs2Error, ValueError) as error:
        raise InputError(f"{file}: expected SRT or WebVTT, got {error}") from None
    spans: Spans = defaultdict(list)
    for line in found:
        name = _named(line.plaintext.strip())
        if name:
            spans[name].append((line.start / 1000, line.end / 1000))
    return spans


def _closed(text: str) -> str:
    """A voice tag `[NAME>` with its bracket."""
    lines = []
    for line in text.splitlines():
        head, mark, rest = line.partition(">")
        lines.append(f"{head}] {rest}" if mark and head.startswith("[") else line)
    return "\n".join(lines)


def _named(text: str) -> str:
    """The name before a line's words; empty where none stands."""
    if text.startswith("[") and "]" in text:
        return text[1 : text.index("]")].strip(" :")
    head, mark, _ = text.partition(":")
    return head.strip() if mark and 0 < len(head) <= 40 and "\n" not in head else ""


def _json(file: Path, what: str) -> object:
    return read_json(file, f"a JSON of {what}")


def words(file: Path) -> Spans:
    """Whisper-style JSON: {"segments": [{"words": [{"start", "end", "speaker"}]}]}.

    Names may stand at the words or at the segments (as WhisperX writes both).
    """
    spans: Spans = defaultdict(list)
    try:
        for segment in _json(file, "words")["segments"]:
            for word in segment.get("words") or [segment]:
                name = word.get("speaker", segment.get("speaker"))
                if name is not None and "start" in word:
                    spans[str(name)].append((float(word["start"]), float(word["end"])))
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(
            f'{file}: expected {{"segments": [{{"speaker", "start", "end", "words": [...]}}]}} '
            f"({error!r})"
        ) from None
    return {name: _joined(said) for name, said in spans.items()}


def _joined(spans: list[tuple[float, float]], gap: float = 0.4) -> list[tuple[float, float]]:
    """Words of one breath as one stretch: gaps below `gap` seconds closed."""
    out: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if out and begin - out[-1][1] < gap:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((begin, end))
    return out


def read_faces(file: Path, ticks: int) -> dict[str, np.ndarray]:
    """{"CAMERA": {"fps": 25, "boxes": [[[x, y, width, height], ...] a frame]}} -> (T,) seen."""
    found = {}
    try:
        for camera, track in _json(file, "faces").items():
            seen = np.array([len(boxes) > 0 for boxes in track["boxes"]], bool)
            at = (np.arange(ticks) / TICKS * float(track["fps"])).astype(int)
            # Nobody knows what comes after the last frame: no reason against the camera.
            found[str(camera)] = np.where(at < len(seen), seen[at.clip(max=len(seen) - 1)], True)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f'{file}: expected {{"V1": {{"fps": 25, "boxes": [[[x, y, width, height]], ...]}}}} '
            f"({error!r})"
        ) from None
    return found
