"""Splines begin by stretching each basin of a torsion, and move nobody to another."""

import pytest
import torch

from molecular_flow.coordinates.geometry import wrap
from molecular_flow.flow import basins
from molecular_flow.flow.splines import knots, spline
from molecular_flow.flow.transport import TransportFlow

WIDE = 1.5**0.5  # of harmonic wells, from 300 to 450 K


def wells(share: float, width: float, size: int = 6000) -> torch.Tensor:
    """Turns (M,) in wells at -0.5 (`share` of them) and 0.3."""
    generator = torch.Generator().manual_seed(round(1000 * width))
    left = torch.rand(size, generator=generator) < share
    noise = width * torch.randn(size, generator=generator)
    return (torch.where(left, -0.5, 0.3) + noise + 1) % 2 - 1


def moved(cold: torch.Tensor, hot: torch.Tensor, bins: int) -> torch.Tensor:
    sizes, slope = knots(basins.start(cold, hot, bins).float())
    return spline(cold, *(p.expand(len(cold), *p.shape) for p in (sizes, slope)))[0]


@pytest.mark.parametrize("bins", [8, 12])
def test_each_well_is_stretched_and_keeps_its_frames(bins):
    cold, hot = wells(0.3, 0.08), wells(0.5, 0.08 * WIDE)
    (cut,) = [c for c in basins.cuts(torch.cat([cold, hot]), bins) if -0.45 < c < 0.25]
    there = moved(cold, hot, bins)
    assert torch.equal(there < cut, cold < cut)
    for side in (cold < cut, cold > cut):
        grown = there[side].std() / cold[side].std()
        assert 1 + 0.6 * (WIDE - 1) < grown < 1 + 1.4 * (WIDE - 1)


def test_few_frames_change_nothing():
    cold = wells(0.5, 0.1, size=60)
    assert basins.start(cold, cold, 8).abs().max() == 0


def test_one_distribution_twice_is_left_as_it_is():
    cold = wells(0.5, 0.1)
    assert (moved(cold, cold, 8) - cold).abs().max() < 0.02


@pytest.mark.parametrize("network", ["mlp", "local", "mixed"])
def test_a_fitted_flow_begins_so(dipeptide, network):
    flow = TransportFlow(dipeptide, init="basins", network=network, width=8).float()
    stretch = TransportFlow(dipeptide, network=network, width=8).float()
    generator = torch.Generator().manual_seed(0)
    frames = {}
    for kelvin in (300.0, 450.0):
        z = flow.coordinates.rest.repeat(2000, 1)
        width = 0.1 * (kelvin / 300) ** 0.5
        frames[kelvin] = z + width * torch.randn(z.shape, generator=generator)
    for one in (flow, stretch):
        one.fit(frames)
    z = frames[300.0]

    def torsions(z):
        return wrap(z[:, flow.stiff :] - flow.centre)

    with torch.no_grad():
        there, up = flow(z, 300.0, 450.0)
        back, down = flow(there, 300.0, 450.0, inverse=True)
        plain, same = stretch(z, 300.0, 450.0)[0], flow(z, 400.0, 400.0)[0]
    for one, tolerance in ((plain, 1e-5), (same, 1e-5), (back, 1e-4)):
        assert wrap(torsions(one) - torsions(z)).abs().max() < tolerance
    assert (up + down).abs().max() < 1e-3
    grown = torsions(there).std(0) / torsions(z).std(0)
    assert (grown > 1.1).all()
    assert (grown < 1.35).all()
