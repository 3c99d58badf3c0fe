"""Convolutions whose gradient torch computes outside its memory, and that networks are built without them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from trainers.networks.layout import to_device
from trainers.networks.strided_convolutions import StridedPointwise, spare_strided_pointwise
from trainers.process import reset_process_state

STEP = """
import torch
from search_spaces.backbones import get_backbone
from trainers.networks.backbones import build_backbone

network = build_backbone(get_backbone("repvgg_a1"), classes=10, channels=3, image_size=224)
network.to(memory_format=torch.channels_last)
images = torch.randn(2, 3, 224, 224).contiguous(memory_format=torch.channels_last)
torch.nn.functional.cross_entropy(network(images), torch.tensor([1, 2])).backward()
print(network.stem.conv_1x1.conv.weight.grad.isfinite().all().item())
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    reset_process_state(0, threads=1)


def test_repvgg_takes_a_step_on_the_cpu() -> None:
    """In a process of its own: with the stock convolution it dies by a signal."""
    done = subprocess.run(
        [sys.executable, "-c", STEP],
        cwd=Path(__file__).parent.parent,
        env={"OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


@pytest.mark.parametrize("stride", [2, (1, 3)])
@pytest.mark.parametrize("side", [32, 33])
def test_the_same_is_computed(stride: int | tuple[int, int], side: int) -> None:
    """On maps that the stock convolution survives, in float64, where oneDNN is not asked."""
    stock = nn.Sequential(nn.Conv2d(3, 8, 1, stride=stride, dtype=torch.float64))
    images = torch.randn(2, 3, side, side, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    expected = stock(images)
    expected.square().sum().backward()
    gradients = [parameter.grad for parameter in stock.parameters()]
    state, draws = stock.state_dict(), torch.get_rng_state()
    stock.zero_grad()
    spare_strided_pointwise(stock)
    assert type(stock[0]) is StridedPointwise
    assert torch.equal(torch.get_rng_state(), draws), "it draws no weights"
    assert stock.state_dict().keys() == state.keys()
    outputs = stock(images)
    torch.testing.assert_close(outputs, expected)
    outputs.square().sum().backward()
    for parameter, gradient in zip(stock.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize(
    "sound",
    [
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(3, 8, 3, stride=2),
        nn.Conv2d(16, 8, 1, stride=2),
        nn.Conv2d(4, 8, 1, stride=2, groups=2),
        nn.Conv2d(3, 8, 1, stride=2, padding=1),
    ],
    ids=["stride 1", "3x3", "16 channels", "groups", "padding"],
)
def test_others_are_left_alone(sound: nn.Module) -> None:
    network = nn.Sequential(sound)
    spare_strided_pointwise(network)
    assert network[0] is sound


def test_weights_of_five_dimensions_keep_their_layout() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv3d(1, 2, 3))
    values = [parameter.clone() for parameter in network.parameters()]
    to_device(network, torch.device("cpu"))
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(map(torch.equal, values, network.parameters()))
