"""The data module splits by ladder, draws the same batches again, and names what is wrong."""

import numpy as np
import pytest
import torch

from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import restore
from molecular_flow.data import MolecularData
from molecular_flow.physics import sanity
from molecular_flow.physics.energy import TorchEnergy
from molecular_flow.physics.trajectory import read


def rewritten(path, target, **changes):
    with np.load(path) as file:
        values = {key: file[key] for key in file.files}
    values |= changes
    np.savez(target, **{key: value for key, value in values.items() if value is not None})
    return target


def positions(path):
    with np.load(path) as file:
        return file["positions_nm"]


@pytest.fixture
def data(tiny_ladder):
    found = MolecularData(root=str(tiny_ladder), batch_size=5, batches_per_epoch=3, eval_frames=20)
    found.setup()
    return found


def test_splits_are_whole_ladders(data):
    assert data.describe()["sizes"] == {"train": 72, "val": 12, "test": 12}
    assert data.describe()["source"] != "embedded"
    assert data.notes == []


def test_rows_are_canonical_frames_with_their_energies_and_gradients(data):
    table = data._tables["train"]
    energy = TorchEnergy(data.molecule).double()
    z = table["source"][:20].double().requires_grad_(True)
    x = data.coordinates.double().decode(z)
    u = energy(restore(x, table["source_labels"][:20]))
    (gradient,) = torch.autograd.grad(u.sum(), z)
    assert (u - table["source_energy"][:20]).abs().max() < 0.02
    scale = gradient.abs().mean()
    assert (gradient - table["source_gradient"][:20]).abs().mean() < 1e-3 * scale
    home = data.coordinates.rest[56:]
    period = data.coordinates.period
    turn = (table["source"][:, 56:] - home + period / 2) % (2 * torch.pi)
    for row in data.coordinates.group_row.tolist():
        assert (turn[:, row] < period[row] + 1e-4).all()


def test_batches_depend_on_epoch_and_index_alone(data):
    loader = data.train_dataloader()
    first = [batch["source"] for batch in loader]
    again = [batch["source"] for batch in data.train_dataloader()]
    assert [len(first), *first[0].shape] == [3, 5, 63]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    loader.sampler.set_epoch(1)
    assert not torch.equal(first[0], next(iter(loader))["source"])


def test_evaluation_covers_every_pair_once(data):
    data.eval_batch = 5
    batches = list(data.val_dataloader())
    assert [len(b["source"]) for b in batches] == [5, 5, 2]
    assert torch.equal(torch.cat([b["target"] for b in batches]), data._tables["val"]["target"])


def test_the_embedded_corpus_is_made_once(tmp_path, capsys):
    def make():
        return MolecularData(cache=str(tmp_path), temperatures=[300.0, 450.0], ladders=3, frames=2,
                             equilibrate_ps=0.04)  # fmt: skip

    for _ in range(2):
        data = make()
        data.prepare_data()
    assert len(list(tmp_path.glob("molecular_flow-*"))) == 1
    assert "making the embedded corpus" in capsys.readouterr().out
    data.setup()
    assert data.describe()["source"] == "embedded"


def test_a_published_file_is_read_as_it_is(tmp_path, tiny_ladder):
    x = torch.from_numpy(positions(tiny_ladder)[:, :1].reshape(2, 1, 12, 69))
    for file in (tmp_path / "pt_AA.pt", tmp_path / "pt_AA.npy"):
        torch.save(x, file) if file.suffix == ".pt" else np.save(file, x.numpy())
        data = MolecularData(root=str(file), eval_frames=4)
        data.setup()
        assert data.describe()["sizes"]["train"] == 10
        assert "not independent" in data.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: {"positions_nm": x * 10}, "divide by 10"),
        (lambda x: {"positions_nm": x[..., :22, :]}, r"expected positions .*23"),
        (lambda x: {"positions_nm": x[..., ::-1, :]}, "order of the atoms"),
        (lambda x: {"temperatures_kelvin": np.array([300.0])}, "as many temperatures"),
        (lambda x: {"positions_nm": None}, "positions_nm"),
    ],
)
def test_wrong_trajectories(tmp_path, tiny_ladder, dipeptide, change, message):
    path = rewritten(tiny_ladder, tmp_path / "x.npz", **change(positions(tiny_ladder)))
    with pytest.raises(InputError, match=message):
        read(path, dipeptide)


def test_nan_frames_and_exchanged_atoms(tmp_path, tiny_ladder, dipeptide):
    x = positions(tiny_ladder).copy()
    x[0, 1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"1 of 192 frames hold NaN.*\[0, 1, 2\]"):
        read(rewritten(tiny_ladder, tmp_path / "nan.npz", positions_nm=x), dipeptide)
    x = positions(tiny_ladder).copy()
    first, second = dipeptide.find(0, "H"), dipeptide.find(0, "HA")
    x[:, :, :, [first, second]] = x[:, :, :, [second, first]]
    with pytest.raises(InputError, match=r"order of (the )?atoms"):
        read(rewritten(tiny_ladder, tmp_path / "order.npz", positions_nm=x), dipeptide)


def test_unreadable_files(tmp_path, dipeptide):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "none.npz", dipeptide)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "text.npz", dipeptide)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="one trajectory"):
        MolecularData(root=str(tmp_path / "empty")).setup()


@pytest.mark.parametrize(("source", "target"), [(450.0, 300.0), (300.0, 300.0), (0.0, 300.0)])
def test_a_pair_that_does_not_rise_is_refused(source, target):
    with pytest.raises(InputError, match=r"data\.source below data\.target"):
        MolecularData(source=source, target=target)


def test_a_temperature_that_is_not_there(tiny_ladder, tmp_path):
    with pytest.raises(InputError, match="670"):
        MolecularData(root=str(tiny_ladder), target=670.0).setup()
    with pytest.raises(InputError, match=r"data\.temperatures"):
        MolecularData(cache=str(tmp_path), target=500.0).prepare_data()


def exchanged_hydrogens(x, molecule):
    first, second = molecule.find(0, "HB1"), molecule.find(0, "HB2")
    x[0, 3, 4, [first, second]] = x[0, 3, 4, [second, first]]


def moved(x, molecule, shift, place=(1, 2, 3)):
    x[place][molecule.find(1, "CB")] += shift


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, m: moved(x, m, 3.0), r"1 of 192 frames .*\[1, 2, 3\].*periodic box"),
        (lambda x, m: np.negative(x[0, 5, 6], out=x[0, 5, 6]), r"\[0, 5, 6\].*1 are mirror images"),
        (exchanged_hydrogens, r"\[0, 3, 4\]: CB of residue 1.*exchanged"),
        (lambda x, m: x[1, 7].__setitem__(slice(8), x[1, 7, 8]), "4 different frames among 12"),
        (
            lambda x, m: x[0, 7].__setitem__(3, x[0, 1, 3]),
            "ladder 1 and in temperature 0, ladder 7",
        ),
        (lambda x, m: x.__setitem__(slice(None), x[::-1].copy()), "two rows are exchanged"),
    ],
)
def test_frames_that_nothing_can_be_learned_from(tmp_path, tiny_ladder, dipeptide, spoil, message):
    x = positions(tiny_ladder).copy()
    spoil(x, dipeptide)
    with pytest.raises(InputError, match=message):
        read(rewritten(tiny_ladder, tmp_path / "x.npz", positions_nm=x), dipeptide)


def test_clashes_and_reversed_ladders_are_named(dipeptide):
    rng = np.random.default_rng(0)
    temperatures = np.array([300.0, 450.0, 670.0])
    energies = rng.normal(0, 20, (3, 8, 12)) + np.array([0.0, 40.0, 90.0])[:, None, None]
    sanity.check_energies(energies, temperatures, 23, "x")
    with pytest.raises(InputError, match="labels are reversed"):
        sanity.check_energies(energies[::-1], temperatures, 23, "x")
    energies[2, 4, 7] += 1000
    with pytest.raises(InputError, match=r"1 of 288 frames clash.*\[2, 4, 7\]"):
        sanity.check_energies(energies, temperatures, 23, "x")


def test_a_few_copies_are_counted(tmp_path, tiny_ladder, dipeptide):
    x = positions(tiny_ladder).copy()
    x[0, 2, 5] = x[0, 2, 4]
    found = read(rewritten(tiny_ladder, tmp_path / "x.npz", positions_nm=x), dipeptide)
    assert "1 of 192 frames are copies" in found.notes[0]
