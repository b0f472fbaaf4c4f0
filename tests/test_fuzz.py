"""Damaged bytes: every reader of files from elsewhere answers with its own error, or reads.

Seconds in CI; `FUZZ_SECONDS=600 pytest -s tests/test_fuzz.py` spends ten minutes of processor time
on each reader and prints how many files it read. What is found becomes a case of `tests/bad_input`.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.bad_input.good  # noqa: F401  (fills the shelf)
from experiments.shared.errors import InputError
from tests.bad_input.shelf import Shelf

EXAMPLES = 60  # and again, as long as FUZZ_SECONDS are not over
SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))  # of processor time, a reader


def again(look: Callable[[], None], what: str) -> None:
    """Look at `EXAMPLES`, and at others until the time is over."""
    began, rounds = time.process_time(), 0
    while not rounds or time.process_time() < began + SECONDS:
        look()
        rounds += 1
    spent = time.process_time() - began
    print(f"{what}: {EXAMPLES * rounds:,} damaged files in {spent:.0f} s")


def damaged(data: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    """`data` with pieces cut out and others put in: (place, length, what stands there then)."""
    for place, length, new in cuts:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + length :]
    return data


def xml(path: Path) -> None:
    from multitrack.edit.timeline import sample
    from multitrack.xmeml import files

    sample(files.read(path))


def png(path: Path) -> None:
    from radiodiff.png import image_size, is_black, read_gray

    for read in (read_gray, image_size, is_black):
        try:
            read(path)
        except InputError:
            continue


def npz(path: Path) -> None:
    from experiments.shared.reading import read_npz

    read_npz(path)


def wav(path: Path) -> None:
    from jingle.sound import audio

    audio.read(path)


def pdb(path: Path) -> None:
    from molecular_flow.physics import structure
    from molecular_flow.physics.force_field import openmm_modules

    structure.read(path, openmm_modules()[1])


def samples(path: Path) -> None:
    import numpy as np

    from radiodiff.estimate.plans import read_samples

    read_samples(path, np.zeros((96, 96), bool))


def rttm(path: Path) -> None:
    from multitrack.cutting import signals

    signals.rttm(path)


def settings_yaml(path: Path) -> None:
    from multitrack.cutting.settings import load

    load(path, {})


def checkpoint(path: Path) -> None:
    from experiments.shared import checkpoints

    checkpoints.read(path)


def force_field(path: Path) -> None:
    from molecular_flow.physics.force_field import check_programs

    check_programs(path, set())


READERS: dict[str, tuple[Callable[[Path], None], Callable[[Shelf], Path]]] = {
    "an FCP7 XML": (xml, lambda s: s["edit_xml"]),
    "a gray PNG": (png, lambda s: s["map_png"]),
    "an npz": (npz, lambda s: s["frames_npz"]),
    "a WAV": (wav, lambda s: s["song_wav"]),
    "a PDB": (pdb, lambda s: s["molecule_pdb"]),
    "samples": (samples, lambda s: s["samples_csv"]),
    "diarisation": (rttm, lambda s: s["stack"] / "speakers.rttm"),
    "settings": (settings_yaml, lambda s: s["stack"] / "settings.yaml"),
    "a checkpoint": (checkpoint, lambda s: s["multitrack_run"] / "checkpoints" / "best.ckpt"),
    "a force field": (force_field, lambda s: s["script_xml"]),
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


CUTS = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 40), st.binary(max_size=12)),
    min_size=1,
    max_size=6,
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("what", READERS)
def test_a_damaged_file_is_read_or_refused(what: str, shelf: Shelf, tmp_path: Path):
    read, good = READERS[what]
    whole = good(shelf)
    data, path = whole.read_bytes(), tmp_path / f"bad{whole.suffix}"

    @settings(max_examples=EXAMPLES)
    @given(CUTS)
    def look(cuts: list[tuple[int, int, bytes]]) -> None:
        path.write_bytes(damaged(data, cuts))
        told = ""
        try:
            read(path)
        except InputError as error:
            told = str(error)
        assert len(told.splitlines()) <= 4

    again(look, what)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_run_is_reported_on(tmp_path: Path):
    from experiments.reporting.events import read_run
    from experiments.reporting.facts import objective_of
    from experiments.reporting.headline import headline, warnings
    from experiments.reporting.provenance import provenance
    from experiments.reporting.run_tables import metric_table, milestones, term_table
    from tests.report_runs import make_run

    run = make_run(tmp_path / "run")
    files = [run / "summary.json", run / ".hydra" / "config.yaml", next(run.glob("tb/events*"))]
    whole = [file.read_bytes() for file in files]

    @settings(max_examples=EXAMPLES)
    @given(st.sampled_from(range(len(files))), CUTS)
    def look(which: int, cuts: list[tuple[int, int, bytes]]) -> None:
        for number, file in enumerate(files):
            file.write_bytes(damaged(whole[number], cuts) if number == which else whole[number])
        found = read_run(run)
        for part in (headline, warnings, provenance, metric_table, term_table, milestones):
            part(found)
        objective_of(found)

    again(look, "a run")
