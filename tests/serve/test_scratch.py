"""Where requests lie while they are answered."""

import shutil
from pathlib import Path

from experiments.serving import scratch


def test_small_requests_lie_in_memory_while_there_is_room(tmp_path: Path, monkeypatch):
    memory, disk = tmp_path / "memory", tmp_path / "disk"
    memory.mkdir()
    disk.mkdir()
    monkeypatch.setattr(scratch, "MEMORY", memory)
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    monkeypatch.delenv("TMPDIR", raising=False)
    made = scratch.new()
    assert memory in made.place(100).parents
    assert disk in made.place(scratch.LITTLE + 1).parents
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    assert disk in made.place(100).parents
    made.remove()
    assert not [*memory.iterdir(), *disk.iterdir()]


def test_who_says_a_place_gets_it(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    made = scratch.new()
    assert made.memory is None
    assert tmp_path in made.place(100).parents
    made.remove()
    assert not list(tmp_path.iterdir())
