"""An exported network says what the trained one says; what differs or cannot be written is told."""

import re

import pytest
import torch

from experiments import export
from experiments.exporting.compare import difference
from experiments.shared.errors import InputError


@pytest.mark.parametrize(("kind", "suffix"), [("onnx", ".onnx"), ("torch_export", ".pt2")])
def test_a_network_is_written_compared_and_timed(kind, suffix, odd_run, tmp_path, capsys):
    threads = torch.get_num_threads()
    export.main([str(odd_run), str(tmp_path / "out"), "--format", kind])
    torch.set_num_threads(threads)
    told = capsys.readouterr().out
    assert (tmp_path / "out" / f"denoiser{suffix}").is_file()
    assert (tmp_path / "out" / "export.md").read_text() in told + "\n"
    (row,) = re.findall(
        rf"\| denoiser +\| {kind} +\| +([\d.]+) +\| +([\d.]+) +\| +([\d.e+-]+)", told
    )
    assert float(row[2]) < 1e-4
    assert "it is no network" in told
    assert re.search(r"drifting.*(differs by more|cannot be exported)", told)
    assert not (tmp_path / "out" / f"drifting{suffix}").exists()


def test_a_difference_is_of_shapes_and_of_what_is_not_finite_too():
    one = torch.tensor([1.0, 2.0, 3.0])
    assert difference((one,), (one,)) == 0
    assert difference((one[:2],), (one,)) == float("inf")
    assert difference((one / 0,), (one,)) == float("inf")
    assert difference((one + 1e9 * (one > 9),), (one,)) == 0
    # A great value elsewhere hides nothing.
    many = torch.cat([one, torch.tensor([1e12])])
    assert difference((many + torch.tensor([0.5, 0, 0, 0]),), (many,)) > 0.05


def test_what_is_no_run_or_no_folder_is_told(odd_run, tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        export.main([str(tmp_path), str(tmp_path / "out")])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected a folder"):
        export.main([str(odd_run), str(tmp_path / "file")])
