"""What reaches us from the world: other formats, streams, damage, odd names, odd channels."""

import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from experiments.shared.errors import InputError
from jingle.pairs.build import build, find_songs
from jingle.sound import audio, intake
from tests.jingle.fakes import music

RATE = 48_000


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Six seconds of the same sound as a file of each kind, by suffix."""
    folder, sound = tmp_path_factory.mktemp("encoded"), music(6.0, 0, RATE)
    kinds = {"wav": {}, "flac": {}, "mp3": {}, "aiff": {}, "caf": {}, "au": {}}
    kinds |= {"ogg": {"format": "OGG", "subtype": "VORBIS"}}
    kinds |= {"opus": {"format": "OGG", "subtype": "OPUS"}}
    for suffix, options in kinds.items():
        with soundfile.SoundFile(folder / f"a.{suffix}", "w", RATE, 1, **options) as stream:
            for first in range(0, len(sound), audio.BLOCK):
                stream.write(sound[first : first + audio.BLOCK])
    return {suffix: folder / f"a.{suffix}" for suffix in kinds}


@pytest.mark.parametrize("suffix", ["opus", "aiff", "caf", "au", "oga", "aif"])
def test_formats_beyond_the_usual_are_found_and_read(encoded, tmp_path, suffix):
    source = encoded[{"oga": "ogg", "aif": "aiff"}.get(suffix, suffix)]
    file = tmp_path / f"song.{suffix.upper()}"
    file.write_bytes(source.read_bytes())
    assert intake.songs_in(tmp_path) == ([file], [])
    found = audio.read(file)
    assert len(found) == pytest.approx(6 * audio.RATE, abs=50)
    assert np.corrcoef(found, audio.read(encoded["wav"])[: len(found)])[0, 1] > 0.9


def test_a_format_that_nobody_reads_is_named_counted_and_told_the_remedy(tmp_path, capsys):
    for index in range(4):
        audio.write(tmp_path / "songs" / f"{index}.wav", music(1.0, index))
    (tmp_path / "songs" / "purchase.m4a").write_bytes(b"\x00\x00\x00\x20ftypM4A ")
    build(tmp_path / "songs", tmp_path / "out", per_song=1, seconds=0.5, val_share=0.5)
    said = capsys.readouterr().out
    assert re.search(r"skipped .*purchase\.m4a: \.m4a cannot be read here; convert it", said)
    assert "1 files" in said
    (tmp_path / "only").mkdir()
    (tmp_path / "songs" / "purchase.m4a").rename(tmp_path / "only" / "purchase.m4a")
    with pytest.raises(InputError, match=r"no audio in it.*purchase\.m4a"):
        find_songs(tmp_path / "only", 1.0)


@pytest.mark.parametrize("length", [0x7FFFF024, 0x7FFFF03C, 0xFFFFFFFF, 0])
def test_a_wav_from_a_pipe_is_read_to_its_end(encoded, tmp_path, length):
    content = bytearray(encoded["wav"].read_bytes())
    data = content.index(b"data")
    content[4:8] = struct.pack("<I", length)
    content[data + 4 : data + 8] = struct.pack("<I", length - 36 if length else 0x7FFFF000)
    (tmp_path / "piped.wav").write_bytes(content)
    assert len(audio.read(tmp_path / "piped.wav")) == 6 * audio.RATE


def test_an_ogg_with_a_gap_is_used_and_the_gap_is_said(encoded, tmp_path):
    content = encoded["ogg"].read_bytes()
    pages = [match.start() for match in re.finditer(b"OggS", content)]
    middle = len(pages) // 2
    file = tmp_path / "gap.ogg"
    file.write_bytes(content[: pages[middle]] + content[pages[middle + 1] :])
    notes = []
    found = audio.read(file, notes=notes)
    assert 5 * audio.RATE < len(found) < 5.95 * audio.RATE
    assert len(notes) == 1
    assert re.search(r"gap\.ogg: has gaps, 0\.\d+ s are missing", notes[0])


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.98])
def test_an_ogg_that_was_cut_off_is_refused(encoded, tmp_path, suffix, share):
    content = encoded[suffix].read_bytes()
    file = tmp_path / f"half.{suffix}"
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"half.*truncated"):
        audio.read(file)
    pages = [match.start() for match in re.finditer(b"OggS", content)]
    file.write_bytes(content[: pages[len(pages) // 2]])  # at the seam of two pages
    with pytest.raises(InputError, match=r"half.*truncated"):
        audio.read(file)


def test_two_mp3s_glued_together_are_told_from_one(encoded, tmp_path):
    content = encoded["mp3"].read_bytes()
    tag = b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10)
    file = tmp_path / "a.mp3"
    for whole in (content, tag + content):
        file.write_bytes(whole)
        assert len(audio.read(file)) == pytest.approx(6 * audio.RATE, abs=1200)
        file.write_bytes(whole + whole)
        with pytest.raises(InputError, match="holds 2 recordings glued together; split it"):
            audio.read(file)


def test_a_name_that_is_no_utf8_is_read_and_said(encoded, tmp_path):
    folder = tmp_path / "songs"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9.wav")
    try:
        (folder / name).write_bytes(encoded["wav"].read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert len(audio.read(folder / name)) == 6 * audio.RATE
    (folder / os.fsdecode(b"tr\xe8s.wav")).write_bytes(b"no audio")
    for index in range(3):
        audio.write(folder / f"{index}.wav", music(1.0, index))
    command = [sys.executable, "-m", "jingle.pairs", str(folder), str(tmp_path / "out")]
    environment = os.environ | {"PYTHONUTF8": "1"}
    run = subprocess.run(
        [*command, "--seconds", "0.5"], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert "1 files" in run.stdout


def test_channels_that_cancel_are_heard_through_one_of_them(tmp_path):
    sound = music(1.0, 0)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, -sound], 1), 24_000, subtype="FLOAT")
    notes = []
    assert np.array_equal(audio.read(tmp_path / "a.wav", notes=notes), sound)
    assert "channels cancel" in notes[0]
    soundfile.write(tmp_path / "b.wav", np.zeros((100, 2)), 24_000)
    assert not audio.read(tmp_path / "b.wav").any()


def test_a_sample_rate_of_1_hz_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", music(0.1, 0), 1)
    with pytest.raises(InputError, match=r"a\.wav: sample rate 1 Hz"):
        audio.read(tmp_path / "a.wav")


def test_what_macos_leaves_beside_a_song_is_no_song(encoded, tmp_path):
    (tmp_path / "x.mp3").write_bytes(encoded["mp3"].read_bytes())
    (tmp_path / "._x.mp3").write_bytes(b"\x00\x05\x16\x07" + bytes(4000))
    assert intake.songs_in(tmp_path) == ([tmp_path / "x.mp3"], [])


def test_a_float_file_above_1_is_turned_down_as_a_whole(tmp_path):
    sound = music(1.0, 0)
    loud = sound * np.float32(3.0 / np.abs(sound).max())
    soundfile.write(tmp_path / "a.wav", loud, 24_000, subtype="FLOAT")
    notes = []
    found = audio.read(tmp_path / "a.wav", notes=notes)
    assert np.abs(found).max() == pytest.approx(1.0, abs=1e-6)
    assert np.allclose(found * 3, loud, atol=1e-5)
    assert "peaks at +9.5 dB; turned down" in notes[0]


def test_writing_turns_down_and_does_not_clip(tmp_path):
    sound = music(0.5, 0)
    audio.write(tmp_path / "a.wav", sound * np.float32(2 / np.abs(sound).max()))
    assert np.corrcoef(audio.read(tmp_path / "a.wav"), sound)[0, 1] > 0.99999


def test_stereo_is_written_as_stereo(tmp_path):
    both = np.stack([music(0.5, 0), music(0.5, 1)], 1)
    audio.write(tmp_path / "a.flac", both, 44_100)
    samples, rate = audio.load(tmp_path / "a.flac")
    assert (samples.shape, rate) == (both.shape, 44_100)
    assert np.abs(samples - both).max() < 1e-4
