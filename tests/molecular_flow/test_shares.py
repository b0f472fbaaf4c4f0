"""What torsions explain of the works is found from earlier frames, of basins alone."""

import math

import torch

from molecular_flow.shares import FIRST, Explained

PERIOD = torch.tensor([2 * math.pi, 2 * math.pi, 2 * math.pi / 3])


def frames(size: int = 200):
    torsion = (torch.rand(size, 3) * 2 - 1) * math.pi
    share = 0.5 * torsion[:, 0].cos() * torsion[:, 1].sin()
    return torsion, share, share + 0.3 * torch.randn(size) + 40.0


def test_the_part_that_torsions_explain_is_found():
    torch.manual_seed(0)
    explained = Explained(PERIOD)
    for n in range(40):
        torsion, share, work = frames()
        said = explained(torsion, work)
        assert (n >= FIRST) == bool(said.abs().max() > 0)
        assert abs(said.mean().item()) < 1e-5
    assert (said - share).std() < 0.3 * share.std()


def test_clashes_and_turning_groups_do_not_disturb():
    explained, disturbed = (Explained(PERIOD) for _ in range(2))
    torch.manual_seed(0)
    for _ in range(40):
        torsion, share, work = frames()
        wild = work.clone()
        wild[:2] = torch.tensor([math.inf, math.nan])
        turned = torsion.clone()
        turned[:, 2] += 1.0
        said, other = explained(torsion, work), disturbed(turned, wild)
    assert (said - other).std() < 0.3 * share.std()
