"""What `jingle.recordings` makes of folders of recorded music."""

import numpy as np
import pytest

from experiments.shared.errors import InputError
from jingle.recordings import gather
from jingle.sound import audio
from tests.jingle.fakes import music


@pytest.fixture
def albums(tmp_path):
    for album, count in (("one-music", 5), ("two-music", 2)):
        for index in range(count):
            file = tmp_path / album / "usr" / "share" / f"song {index}.flac"
            audio.write(file, music(3.0, 10 * len(album) + index + (album == "two-music") * 100))
        doc = tmp_path / album / "usr" / "share" / "doc" / "copyright"
        doc.parent.mkdir(parents=True)
        doc.write_text(f"licence of {album}")
    audio.write(tmp_path / "one-music" / "click.wav", music(0.2, 0))
    copy = tmp_path / "two-music" / "copy.flac"
    copy.write_bytes((tmp_path / "one-music" / "usr" / "share" / "song 0.flac").read_bytes())
    return [tmp_path / "one-music", tmp_path / "two-music"]


def test_songs_clips_and_licences(albums, tmp_path):
    out = tmp_path / "out"
    assert gather(albums, out, clips=4, seconds=1.0, least=1.0) == {"one-music": 5, "two-music": 2}
    names = {file.name for file in (out / "songs").iterdir()}
    assert len(names) == 7
    assert "one-music_song_0.flac" in names
    clips = sorted((out / "clips").iterdir())
    assert [clip.name.startswith("one") for clip in clips] == [True, True, False, False]
    whole = audio.read(out / "songs" / clips[0].name)
    assert np.array_equal(audio.read(clips[0]), whole[24_000:48_000])
    assert "licence of two-music" in (out / "credits.txt").read_text()
    with pytest.raises(InputError, match="is there already"):
        gather(albums, out)


def test_nothing_to_take_says_how_to_get_it(tmp_path):
    (tmp_path / "empty").mkdir()
    for folders in ([], [tmp_path / "empty"], [tmp_path / "nowhere"]):
        with pytest.raises(InputError, match="apt-get download"):
            gather(folders, tmp_path / "out")


def test_albums_of_one_name_are_kept_apart(albums, tmp_path):
    folders = [album / "usr" / "share" for album in albums]
    found = gather([*folders, folders[0]], tmp_path / "out", clips=0, least=1.0)
    assert found == {"share": 5, "usr_share": 2}
