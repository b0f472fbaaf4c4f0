"""An embedded corpus that was damaged since it was made is seen, and made again."""

import json
import os
import shutil
from pathlib import Path

import pytest

from experiments.shared import stamps
from experiments.shared.corpora import build_once
from experiments.shared.errors import InputError

CONTENT = {"a.txt": b"one", "deep/b.txt": b"two", "deep/c.json": b"{}"}


def fill(folder: Path) -> None:
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def corpus(tmp_path) -> Path:
    return made(tmp_path)


def made(root: Path) -> Path:
    return build_once(root, "corpus", {"size": 3, "pair": (1, 2)}, fill)


def held(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in stamps.files_in(folder)}


def overwrite(file: Path, content: bytes) -> None:
    file.write_bytes(content)


DAMAGE = {
    "a lost file": lambda folder: (folder / "deep" / "b.txt").unlink(),
    "a lost folder": lambda folder: shutil.rmtree(folder / "deep"),
    "an emptied file": lambda folder: overwrite(folder / "a.txt", b""),
    "a file cut short": lambda folder: overwrite(folder / "a.txt", b"on"),
    "a changed byte": lambda folder: overwrite(folder / "a.txt", b"ome"),
    "a folder for a file": lambda folder: ((folder / "a.txt").unlink(), (folder / "a.txt").mkdir()),
    "no stamp": lambda folder: (folder / stamps.STAMP).unlink(),
    "an empty stamp": lambda folder: overwrite(folder / stamps.STAMP, b""),
    "a stamp of nothing": lambda folder: overwrite(folder / stamps.STAMP, b"{}"),
    "a stamp without keys": lambda folder: overwrite(
        folder / stamps.STAMP, b'{"parameters": {}, "files": {"a.txt": [3]}}'
    ),
    "a changed name in the stamp": lambda folder: overwrite(
        folder / stamps.STAMP, (folder / stamps.STAMP).read_bytes().replace(b"a.txt", b"d.txt")
    ),
    "a stamp of a list": lambda folder: overwrite(folder / stamps.STAMP, b"[[[3]]]"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_said_and_mended(name, corpus, capsys):
    DAMAGE[name](corpus)
    capsys.readouterr()
    assert made(corpus.parent) == corpus
    assert held(corpus) == CONTENT
    assert "is damaged (" in capsys.readouterr().out
    made(corpus.parent)
    assert "using the embedded corpus" in capsys.readouterr().out
    assert [p.name for p in corpus.parent.iterdir()] == [corpus.name]


def test_the_file_that_is_damaged_is_named(corpus, capsys):
    (corpus / "deep" / "b.txt").unlink()
    (corpus / "a.txt").write_bytes(b"four")
    made(corpus.parent)
    said = capsys.readouterr().out
    assert "a.txt has 4 bytes, not 3" in said
    assert "deep/b.txt: No such file" in said


def test_a_whole_corpus_is_not_made_again_whatever_its_times(corpus, capsys):
    kept = os.stat(corpus / "a.txt").st_ino
    for file in stamps.files_in(corpus):
        os.utime(file, (1, 1))
    made(corpus.parent)
    assert "damaged" not in capsys.readouterr().out
    assert os.stat(corpus / "a.txt").st_ino == kept
    known = json.loads((corpus / stamps.STAMP).read_text())["files"]
    assert known["a.txt"][1] == 10**9  # so that it is hashed but once


def test_a_file_with_its_time_is_not_read_again(corpus, monkeypatch):
    monkeypatch.setattr(stamps, "file_hash", lambda file: pytest.fail(f"{file} was read"))
    made(corpus.parent)


def test_what_else_lies_in_its_folder_stays(corpus):
    (corpus / "deep" / "notes.md").write_bytes(b"mine")
    (corpus / ".DS_Store.txt").write_bytes(b"the system's")
    (corpus / "a.txt").unlink()
    made(corpus.parent)
    assert held(corpus) == CONTENT | {"deep/notes.md": b"mine", ".DS_Store.txt": b"the system's"}


def test_data_that_were_put_into_it_are_named_and_kept(corpus):
    (corpus / "deep" / "mine.txt").write_bytes(b"mine")
    for spoiled in (False, True):
        if spoiled:
            (corpus / "a.txt").unlink()
        with pytest.raises(InputError, match=r"deep/mine\.txt: not of the embedded corpus"):
            made(corpus.parent)
    assert (corpus / "deep" / "mine.txt").read_bytes() == b"mine"


def test_a_corpus_of_before_there_were_stamps_is_believed_once(corpus, capsys):
    (corpus / stamps.STAMP).unlink()
    (corpus / "parameters.json").write_text('{"pair": [1, 2], "size": 3}')
    (corpus / "a.txt").write_bytes(b"as it was")
    made(corpus.parent)
    assert (corpus / "a.txt").read_bytes() == b"as it was"
    (corpus / "a.txt").write_bytes(b"as it is not")
    made(corpus.parent)
    assert held(corpus) == CONTENT
    assert "damaged" in capsys.readouterr().out


def test_a_corpus_that_cannot_be_made_again_leaves_the_damaged_one(corpus):
    (corpus / "a.txt").unlink()

    def fail(folder: Path) -> None:
        fill(folder)
        raise InputError("no room")

    with pytest.raises(InputError, match="no room"):
        build_once(corpus.parent, "corpus", {"size": 3, "pair": (1, 2)}, fail)
    assert [p.name for p in corpus.parent.iterdir()] == [corpus.name]
    assert (corpus / "deep" / "b.txt").is_file()
