"""Names of timm need no code here: every small architecture that timm keeps for tests trains under its own name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_spaces.backbones import image_size_for
from search_spaces.errors import UserError
from trainers.networks.backbones import build_backbone, resolve_backbone
from trainers.networks.timm_models import DropPath, model_names
from trainers.process import reset_process_state

SMALL = [name for name in model_names() if name.startswith("test_")]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    reset_process_state(0, threads=1)


def test_there_are_some_of_every_kind() -> None:
    assert {"test_resnet", "test_vit", "test_convnext", "test_efficientnet", "test_byobnet", "test_mambaout"} <= set(
        SMALL
    )


@pytest.mark.parametrize("name", SMALL)
def test_one_step_is_taken(name: str) -> None:
    """As a trial takes it: at the size it is made for, channels last, with stochastic depth."""
    info = resolve_backbone(name)
    size = image_size_for(info, 32, None)
    assert size == info.input_size
    network = build_backbone(info, classes=5, channels=1, image_size=size, drop_path=0.1)
    network.to(memory_format=torch.channels_last)
    assert info.takes_drop_path == any(isinstance(module, DropPath) for module in network.modules())
    before = [parameter.clone() for parameter in network.parameters()]
    images = torch.randn(4, 1, size, size).contiguous(memory_format=torch.channels_last)
    loss = nn.functional.cross_entropy(network(images), torch.arange(4))
    loss.backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    assert loss.isfinite()
    assert any(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_another_size_is_taken_where_it_is_asked_for(name: str) -> None:
    info = resolve_backbone(name)
    size = image_size_for(info, 32, 64)
    network = build_backbone(info, classes=5, channels=3, image_size=size)
    assert size == 64
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 5)


def test_an_encoder_without_classifier_is_refused() -> None:
    info = resolve_backbone("gemma4_vit_167m_enc")
    with torch.device("meta"), pytest.raises(UserError, match=r"must give \(2, 5\) logits for 2 images; got shape"):
        build_backbone(info, classes=5, channels=3, image_size=info.input_size or 0)
