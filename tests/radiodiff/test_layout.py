"""Memory layout: gradients and moments lie as their parameters do."""

import copy
import warnings

import pytest
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from radiodiff.autoencoder.network import Autoencoder
from radiodiff.layout import align_moments, along_channels


@pytest.fixture
def one_process(tmp_path):
    dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_gradients_lie_as_parameters_where_the_layout_is_set_before_wrapping(one_process):
    """As on a GPU; fused AdamW refuses anything else there."""
    maps = torch.rand(1, 1, 32, 32)
    for before in (True, False):
        network = Autoencoder(width=8, blocks=1)
        network.forward = lambda x, n=network: n.decode(n.encode(x)[0])
        if before:
            along_channels([network], torch.device("cuda"))
        wrapped = DistributedDataParallel(network, gradient_as_bucket_view=True)
        if not before:
            along_channels([network], torch.device("cuda"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch tells of it, once, as of a matter of speed
            wrapped(maps.contiguous(memory_format=torch.channels_last)).sum().backward()
        gradients = [p for p in network.parameters() if p.grad is not None]
        same = all(p.grad.stride() == p.stride() for p in gradients)
        assert same == before


def test_moments_of_another_layout_are_laid_anew():
    torch.manual_seed(0)
    one, other = (torch.nn.Conv2d(3, 4, 3) for _ in range(2))
    other.load_state_dict(one.state_dict())
    along_channels([one], torch.device("cuda"))
    optimizers = [torch.optim.AdamW(n.parameters(), lr=0.1, fused=True) for n in (one, other)]
    image = torch.rand(1, 3, 8, 8)
    one(image).square().sum().backward()
    optimizers[0].step()
    other.load_state_dict(one.state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    align_moments([optimizers[1]])
    for parameter, state in optimizers[1].state.items():
        assert state["exp_avg"].stride() == parameter.stride()
    for network, optimizer in zip((one, other), optimizers, strict=True):
        network.zero_grad()
        network(image).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(one.weight.contiguous(), other.weight, rtol=1e-4, atol=1e-5)
