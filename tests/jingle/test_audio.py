import numpy as np
import pytest
import soundfile

from experiments.shared.errors import InputError
from jingle.pairs import blend
from jingle.sound import audio
from tests.jingle.fakes import music


def write(path, samples, rate=24_000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_formats_are_read_back(tmp_path, suffix):
    sound = music(1.0, 0)
    file = tmp_path / f"a{suffix}"
    audio.write(file, sound)
    back = audio.read(file)
    assert back.dtype == np.float32
    assert abs(len(back) - len(sound)) <= (1200 if suffix == ".mp3" else 0)
    if suffix in (".wav", ".flac"):
        assert np.abs(back - sound).max() < 1e-4


def test_stereo_is_mixed_down(tmp_path):
    left, right = music(0.5, 0), music(0.5, 1)
    file = write(tmp_path / "a.wav", np.stack([left, right], 1), subtype="FLOAT")
    assert np.allclose(audio.read(file), (left + right) / 2, atol=1e-7)


def test_eight_bit(tmp_path):
    sound = music(0.5, 0)
    back = audio.read(write(tmp_path / "a.wav", sound, subtype="PCM_U8"))
    assert np.abs(back - sound).max() < 0.01


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 47_999, 48_000, 96_000])
def test_any_rate_becomes_24_khz(tmp_path, rate):
    seconds = 0.7
    sound = np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate) * 0.5
    back = audio.read(write(tmp_path / "a.wav", sound, rate, subtype="FLOAT"))
    assert len(back) == audio.at_rate(len(sound), rate)
    wanted = np.sin(2 * np.pi * 440 * np.arange(len(back)) / 24_000) * 0.5
    assert np.abs(back - wanted)[500:-500].max() < 1e-3


def test_part_of_a_file_is_sample_exact(tmp_path):
    sound = music(1.0, 0)
    file = write(tmp_path / "a.wav", sound, subtype="FLOAT")
    assert np.array_equal(audio.read(file, 0.25, 0.5), sound[6000:18000])
    assert len(audio.read(file, 0.9, 5.0)) == 2400  # past the end: what there is


def test_a_long_vorbis_file_is_written(tmp_path):
    audio.write(tmp_path / "a.ogg", np.tile(music(1.0, 0), 60))
    assert soundfile.info(tmp_path / "a.ogg").frames == 60 * 24_000


def broken(path, kind):
    good = music(1.0, 0)
    if kind == "no such file":
        return
    if kind == "empty (0 bytes)":
        path.write_bytes(b"")
    elif kind == "cannot be read as audio":
        path.write_bytes(b"these are words, not sounds" * 100)
    elif kind == "NaN":
        good[100] = np.nan
        write(path, good, subtype="FLOAT")
    elif kind == "infinite":
        good[100] = np.inf
        write(path, good, subtype="FLOAT")
    elif kind == "length zero":
        write(path, good[:0])
    elif kind == "truncated":
        write(path, good)
        path.write_bytes(path.read_bytes()[:20_000])
    elif kind == "within":
        write(path, good * 32768, subtype="FLOAT")


@pytest.mark.parametrize(
    "kind",
    [
        "no such file",
        "empty (0 bytes)",
        "cannot be read as audio",
        "NaN",
        "infinite",
        "length zero",
        "truncated",
        "within",
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path, kind):
    file = tmp_path / "a.wav"
    broken(file, kind)
    with pytest.raises(InputError) as caught:
        audio.read(file)
    assert str(file) in str(caught.value)
    assert kind in str(caught.value)


def test_text_named_mp3_is_refused_in_plain_words(tmp_path):
    (tmp_path / "a.mp3").write_text("x")
    with pytest.raises(InputError, match="format not recognised"):
        audio.read(tmp_path / "a.mp3")


def test_a_truncated_flac_is_refused(tmp_path):
    file = write(tmp_path / "a.flac", music(4.0, 0))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=r"truncated|cannot be read"):
        audio.read(file)


def test_writing_refuses_nan_and_unwritable_places(tmp_path):
    with pytest.raises(InputError, match="NaN"):
        audio.write(tmp_path / "a.wav", np.full(10, np.nan))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        audio.write(tmp_path / "file" / "a.wav", np.zeros(10))
    with pytest.raises(InputError, match="ends in one of"):
        audio.write(tmp_path / "a.xyz", np.zeros(10))


def test_peak_safe_only_ever_turns_down():
    sound = music(0.5, 0)
    assert np.array_equal(audio.peak_safe(sound), sound)
    assert np.abs(audio.peak_safe(sound * 100)).max() == pytest.approx(0.99)
    assert not audio.peak_safe(np.zeros(5, np.float32)).any()


def test_separation_tells_clicks_from_tones():
    time = np.arange(48_000) / 24_000
    tone = (0.2 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    clicks = np.zeros_like(tone)
    clicks[2_000::6_000] = 0.9
    both = tone + clicks
    percussive, harmonic = blend.separate(both, "percussive"), blend.separate(both, "harmonic")
    assert len(percussive) == len(both)
    assert np.corrcoef(harmonic, tone)[0, 1] > 0.98
    assert np.corrcoef(percussive, clicks)[0, 1] > 0.9
    assert abs(np.corrcoef(percussive, tone)[0, 1]) < 0.2


def test_loudness_follows_the_level():
    sound = music(2.0, 0)
    assert blend.loudness(sound / 2) == pytest.approx(blend.loudness(sound) - 6.02, abs=0.05)
    assert blend.loudness(np.zeros(24_000, np.float32)) == -np.inf
    assert np.isfinite(blend.loudness(sound[:500]))


def test_parts_are_equally_loud_in_the_blend():
    drums, chords = music(2.0, 0) * 0.3, music(2.0, 1)
    level = blend.loudness(chords)
    alone = [
        blend.blend(drums, np.zeros_like(drums), level, level),
        blend.blend(np.zeros_like(drums), chords, level, level),
    ]
    assert blend.loudness(alone[0]) == pytest.approx(blend.loudness(alone[1]), abs=0.1)
    assert np.allclose(blend.blend(drums, chords, level, level), alone[0] + alone[1], atol=1e-6)


def test_blend_is_peak_safe_and_as_long_as_the_shorter():
    loud = np.sign(music(1.0, 0)) * np.float32(0.99)
    mixed = blend.blend(loud, loud[:12_000], 0.0, 0.0)
    assert len(mixed) == 12_000
    assert np.abs(mixed).max() <= 0.99 + 1e-6


@pytest.mark.parametrize("length", [0, 100, 24_000])
def test_silence_blends_to_silence(length):
    silence = np.zeros(length, np.float32)
    parts = blend.separate(silence, "percussive"), blend.separate(silence, "harmonic")
    mixed = blend.blend(*parts, -np.inf, -np.inf)
    assert mixed.shape == (length,)
    assert not mixed.any()


def test_silence_with_music_leaves_the_music():
    sound = music(1.0, 0)
    silence = np.zeros_like(sound)
    mixed = blend.blend(silence, sound, -np.inf, blend.loudness(sound))
    assert np.isfinite(mixed).all()
    assert np.corrcoef(mixed, sound)[0, 1] > 0.999
