"""Laws of compiled functions: processes that have them compiled at once do not spoil them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ROOT / "jingle" / "sound" / "compiled.py"
# What one has compiled before gives numba's functions other numbers: what used to spoil them.
BEFORE = ("", "import numba; numba.njit(lambda x: x)(1)")
USE = """
from jingle.sound.compiled import librosa
import numpy as np
rng = np.random.default_rng(0)
found = librosa.onset.onset_detect(onset_envelope=rng.random(300, np.float32), sr=24_000)
assert len(found)
"""


def test_librosa_is_imported_in_one_place():
    files = [file for file in (ROOT / "jingle").rglob("*.py") if file != OURS]
    assert files
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert not [
            line for line in lines if line.strip().startswith(("import librosa", "from librosa"))
        ]


@pytest.mark.slow
def test_two_processes_may_compile_at_once(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["TMPDIR"] = str(tmp_path)

    def begin(before: str) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", before + USE], env=environment)

    both = [begin(before) for before in BEFORE]
    assert [process.wait() for process in both] == [0, 0]
    assert [begin(before).wait() for before in BEFORE] == [0, 0]
