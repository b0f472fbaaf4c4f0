"""The wheel holds all that a run needs, and runs from any folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite import REPOSITORY

PACKAGES = ("experiments", "jingle", "radiodiff", "molecular_flow", "multitrack", "conf")
FILES = ("pyproject.toml", "README.md", "LICENSE")


@pytest.mark.slow
def test_an_installed_wheel_runs_where_a_folder_has_a_package_of_its_name(tmp_path: Path):
    source = tmp_path / "source"
    for name in PACKAGES:
        shutil.copytree(REPOSITORY / name, source / name)
    for name in FILES:
        shutil.copy(REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", tmp_path / "site", source],
        check=True,
    )
    shutil.rmtree(source)
    here = tmp_path / "elsewhere"
    (here / "experiments").mkdir(parents=True)
    (here / "experiments" / "__init__.py").write_text('raise SystemExit("the wrong package")')
    outside = ("SUITE_CONF", "SUITE_DATA", "SUITE_OUTPUTS")
    environment = {k: v for k, v in os.environ.items() if k not in outside}
    environment["PYTHONPATH"] = str(tmp_path / "site")

    def ensemble(*words: str) -> str:
        command = [sys.executable, "-P", tmp_path / "site" / "bin" / "ensemble", *words]
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert Path(ensemble("slurm").strip()).is_file()
    ensemble("-m", "+exp=smoke/multitrack", "seed=1")
    (summary,) = (here / "outputs" / "multitrack_smoke").glob("sweep-*/*/summary.json")
    assert json.loads(summary.read_text())["status"] == "completed"
    assert (here / "data").is_dir()
