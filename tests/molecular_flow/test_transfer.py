"""One map for many peptides: exact and symmetric for each, and known sequences need no frames."""

import json

import pytest
import torch

from experiments.shared import checkpoints
from experiments.shared.errors import InputError
from molecular_flow.coordinates.internal import InternalCoordinates, dihedral, reorder
from molecular_flow.infer import load, transport
from molecular_flow.physics import molecule as molecules
from molecular_flow.transfer import fit
from molecular_flow.transfer.flow import SharedFlow, TransferWeights
from molecular_flow.transfer.layout import Layout, backbone_root
from molecular_flow.transfer.module import TransferFlow
from molecular_flow.transfer.summary import summary
from tests.suite import run

PAIR = (300.0, 450.0)
SIZES = {"width": 8, "message": 4, "bins": 4, "couplings": 4}


def layout(molecule) -> Layout:
    return Layout.make(InternalCoordinates(molecule, backbone_root(molecule)), molecule)


@pytest.fixture(scope="module")
def weights() -> TransferWeights:
    """Weights that know alanine and phenylalanine in both places; random, of moderate size."""
    torch.manual_seed(0)
    found = TransferWeights([layout(molecules.build(s)) for s in ("AF", "FA")], **SIZES).double()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return found


@pytest.fixture(scope="module", params=["AF", "AA"])
def flow(request, weights) -> SharedFlow:
    """The map of a sequence that the weights were made for, and of one that they were not."""
    flow = SharedFlow(molecules.build(request.param), weights).double()
    flow.scale[:] = 0.03
    return flow


def noisy(flow: SharedFlow, frames: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    rest = torch.tensor(molecules.build(flow.coordinates.molecule_label).positions)[None]
    noise = torch.randn(frames, *rest.shape[1:], generator=generator, dtype=torch.float64)
    return rest + 0.002 * noise


def test_inverse_undoes_forward(flow):
    x = noisy(flow)
    with torch.no_grad():
        for inverse in (False, True):
            y, up = flow.transport(x, *PAIR, inverse)
            back, down = flow.transport(y, *PAIR, not inverse)
            assert (y - x).abs().max() > 1e-3  # it does something
            assert (back - x).abs().max() < 1e-9
            assert (up + down).abs().max() < 1e-7


def test_log_det_is_autograds(flow):
    z, _ = flow.coordinates.encode(noisy(flow, 1))
    size = z.shape[1]
    copies = z.repeat(size, 1).requires_grad_(True)
    moved, found = flow(copies, *PAIR)
    (matrix,) = torch.autograd.grad(moved.diagonal().sum(), copies)
    expected = torch.linalg.slogdet(matrix)[1].item()
    assert found[0].item() == pytest.approx(expected, abs=1e-8)


def test_between_equal_temperatures_it_is_the_identity(flow):
    x = noisy(flow)
    y, log_det = flow.transport(x, 400.0, 400.0)
    assert (y - x).abs().max() < 1e-9
    assert log_det.abs().max() < 1e-9


def test_equivariance_and_chirality(flow):
    x = noisy(flow)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    turn = turn * torch.linalg.det(turn)
    y, log_det = flow.transport(x, *PAIR)
    moved, same = flow.transport(x @ turn + 1, *PAIR)
    assert (moved - (y @ turn + 1)).abs().max() < 1e-9
    assert (same - log_det).abs().max() < 1e-8
    for group in flow.coordinates.groups:
        order = torch.arange(x.shape[1]).repeat(len(x), 1)
        order[:, list(group)] = torch.tensor(group).roll(1)
        relabelled, _ = flow.transport(reorder(x, order), *PAIR)
        assert (relabelled - reorder(y, order)).abs().max() < 1e-10
    molecule = molecules.build(flow.coordinates.molecule_label)
    for residue in (0, 1):
        quad = [[molecule.find(residue, name)] for name in ("CA", "N", "C", "CB")]
        assert (dihedral(x, *quad).sign() == dihedral(y, *quad).sign()).all()


def test_maps_of_two_sequences_share_their_weights(weights):
    one, two = (SharedFlow(molecules.build(s), weights).double() for s in ("AF", "AA"))
    assert not list(one.parameters())
    assert one.weights[0] is two.weights[0] is weights
    names = set(weights.names.stiff)
    assert {name for place in two.layout.stiff for name in two.layout.named(*place)} <= names
    before = [flow.transport(noisy(flow), *PAIR)[0] for flow in (one, two)]
    with torch.no_grad():
        weights.stiff.part("stretching last_bias").add_(0.1)
    after = [flow.transport(noisy(flow), *PAIR)[0] for flow in (one, two)]
    assert all((a - b).abs().max() > 1e-4 for a, b in zip(before, after, strict=True))


def test_held_weights_are_those_of_a_call_without(flow):
    z, _ = flow.coordinates.encode(noisy(flow))
    expected = flow(z, *PAIR)
    with flow.held():
        found = flow(z, *PAIR)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert flow.bending.weights is None


def test_torsions_of_one_set_do_not_touch():
    for sequence in ("LT", "PA"):
        molecule = molecules.build(sequence)
        coordinates = InternalCoordinates(molecule, backbone_root(molecule))
        torsions, found = coordinates.tree.torsions, Layout.make(coordinates, molecule)
        ring = {a for c in coordinates.tree.closures for a in (c.x, c.y, c.p)}
        axes = [{t.grand, t.parent} for t in torsions]
        for i, a in enumerate(axes):
            for j, b in enumerate(axes[:i]):
                if a & b and not (a | b) & ring:
                    assert found.sets[i] != found.sets[j], (sequence, found.turning[i])
        assert len(set(found.turning)) == len(found.turning)
        assert len(set(found.stiff)) == len(found.stiff) == coordinates.stiff


def test_like_residues_have_like_coordinates():
    """Counted from ideal angles along the chain, whatever stands beside."""
    found = []
    for sequence in ("AF", "VF"):
        molecule = molecules.build(sequence)
        coordinates = InternalCoordinates(molecule, backbone_root(molecule)).double()
        z, _ = coordinates.encode(torch.tensor(molecule.positions)[None])
        names = Layout.make(coordinates, molecule).stiff
        found.append({name: z[0, n].item() for n, (r, name) in enumerate(names) if r == 1})
    assert found[0].keys() == found[1].keys()
    assert all(abs(found[0][name] - found[1][name]) < 0.15 for name in found[0])


def test_what_was_fitted_to_some_serves_a_sequence_without_frames(weights):
    flows = [SharedFlow(molecules.build(s), weights).double() for s in ("AF", "FA")]
    frames = []
    for flow in flows:
        z, _ = flow.coordinates.encode(noisy(flow, 200))
        frames.append({300.0: z, 450.0: z + 0.01})
    found = fit.fit(flows, frames, weights)
    unseen = SharedFlow(molecules.build("FF"), weights).double()
    fit.place(unseen, found)
    for residue, flow in ((0, flows[1]), (1, flows[0])):
        mine, theirs = fit._stiff(unseen, residue), fit._stiff(flow, residue)
        assert torch.equal(unseen.scale[mine], flow.scale[theirs])
    z, _ = unseen.coordinates.encode(noisy(unseen, 50))
    seen = unseen.features(unseen._turn(z[:, unseen.stiff :]))
    mean = unseen._regressor(seen) @ unseen.regression
    assert (mean - z[:, : unseen.stiff]).abs().mean() < 0.05


def test_a_residue_that_no_training_sequence_has_is_named(weights):
    with pytest.raises(InputError, match="residue 2 is GLY last"):
        SharedFlow(molecules.build("AG"), weights)
    with pytest.raises(InputError, match="residue 2 is ALA middle"):
        SharedFlow(molecules.build("AAA"), weights)


def test_summary_tells_median_and_worst_and_keeps_longer_ones_apart():
    names = "excess ess_forward ess_inverse finite_share capped_share round_trip_nm".split()
    rows = {
        s: {"acceptance": value, **dict.fromkeys(names, value)}
        for s, value in (("AA", 0.9), ("AG", 0.7), ("GA", 0.8), ("AAA", 0.1))
    }
    found = summary(rows, {"": ["AA", "AG", "GA"], "larger_": ["AAA"]})
    assert (found["acceptance_median"], found["acceptance_worst"]) == (0.8, 0.7)
    assert (found["excess_worst"], found["larger_acceptance_worst"]) == (0.9, 0.1)
    assert found["acceptance_AAA"] == 0.1


WORDS = ("+exp=smoke/molecular_flow_transfer", "data.ladders=3", "data.frames=4")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A smoke run of two epochs, and one that was resumed between them."""
    folder = tmp_path_factory.mktemp("transfer")
    place = f"paths.data={folder}/data"
    run(folder / "whole", *WORDS, place, "trainer.max_epochs=2")
    run(folder / "parts", *WORDS, place, "trainer.max_epochs=1", "test=false")
    run(folder / "parts", *WORDS, place, "trainer.max_epochs=2", "test=false")
    return folder


def test_a_resumed_run_is_the_uninterrupted_one(finished):
    one, other = (
        torch.load(finished / name / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("whole", "parts")
    )
    assert one["state_dict"].keys() == other["state_dict"].keys()
    assert all(torch.equal(v, other["state_dict"][k]) for k, v in one["state_dict"].items())
    assert one["statistics"]["centres"] == other["statistics"]["centres"]


def test_a_run_reports_unseen_sequences_beside_maps_without_training(finished):
    said = json.loads((finished / "whole" / "summary.json").read_text())
    assert said["status"] == "completed"
    for name in ("acceptance_median", "acceptance_worst", "acceptance_AA", "excess_median",
                 "larger_acceptance_worst", "acceptance_GAG"):  # fmt: skip
        assert f"test/{name}" in said["metrics"]
        assert {"identity", "stretch"} <= said["baselines"].keys()
        assert all(name in values for values in said["baselines"].values())
    assert list((finished / "whole" / "figures").glob("acceptance_by_sequence*.png"))


def test_a_checkpoint_has_all_that_an_unseen_sequence_needs(finished):
    module = checkpoints.load(TransferFlow, finished / "whole")
    peptide = module.peptide(molecules.build("GG"))
    flow, works = peptide.flow, peptide.works
    assert module.statistics["means"]
    assert flow.scale.min() < 0.02  # fitted: bonds are stiffer than what a map begins with
    z, _ = flow.coordinates.encode(torch.tensor(molecules.build("GG").positions).float()[None])
    assert works.flow is flow
    assert flow(z, *PAIR)[0].isfinite().all()


def test_a_map_for_many_is_put_to_use_on_one(finished):
    for run_, words, told in (
        (finished / "whole", {}, "say which, by --sequence or --pdb"),
        (finished / "whole", {"sequence": "AV"}, "residue 2 is VAL last"),
    ):
        with pytest.raises(InputError, match=told):
            load(str(run_), **words)
    found = load(str(finished / "whole"), sequence="GAG")
    x = torch.tensor(found.molecule.positions).float()[None].expand(3, -1, -1)
    moved, energies, weights = transport(found, x, False)
    assert moved.shape == x.shape
    assert energies.isfinite().all()
    assert weights.isfinite().all()
