"""The batch script puts itself into the queue again after an interruption, and only then."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.suite import REPOSITORY


@pytest.mark.parametrize(("status", "requeued"), [(0, False), (1, False), (143, True)])
def test_an_interrupted_job_is_queued_again(tmp_path: Path, status: int, requeued: bool):
    for name, does in (("srun", f"exit {status}"), ("scontrol", 'echo "$@"')):
        (tmp_path / name).write_text(f"#!/bin/bash\n{does}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", REPOSITORY / "experiments" / "slurm.sbatch", "+exp=multitrack"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_NNODES": "2", "SLURM_JOB_ID": "77"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    assert done.stdout == ("requeue 77\n" if requeued else "")
