"""The networks written here from their papers: their sizes, shapes and that they learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.backbones import form_for, get_backbone
from search_spaces.errors import UserError
from trainers.networks.backbones import build_backbone
from trainers.networks.moganet import MogaNet
from trainers.networks.transnext import PositionBias, TransNeXt
from trainers.networks.unireplknet import BRANCHES, DilatedReparam, UniRepLKNet
from trainers.process import reset_process_state


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A network and what the paper says of it; maps are channels and side."""

    build: Callable[..., nn.Module]
    size: int
    stem: tuple[int, int]
    end: tuple[int, int]
    millions: tuple[float, float]
    """Parameters with 1000 and with 100 classes, counted on the authors' own classes."""


FORMS = {
    "moganet_small": Form(build=MogaNet, size=224, stem=(64, 56), end=(512, 7), millions=(25.336, 24.874)),
    "moganet_small at 32 px": Form(
        build=partial(MogaNet, stem_stride=1), size=32, stem=(64, 32), end=(512, 4), millions=(25.336, 24.874)
    ),
    "unireplknet_tiny": Form(build=UniRepLKNet, size=224, stem=(80, 56), end=(640, 7), millions=(31.693, 31.117)),
    "transnext_tiny": Form(build=TransNeXt, size=224, stem=(72, 56), end=(576, 7), millions=(28.259, 27.740)),
}
each_form = pytest.mark.parametrize("name", FORMS)


def tiny_moganet(size: int = 32) -> nn.Module:
    return MogaNet(widths=(8, 16, 24, 32), depths=(1, 1, 2, 1), mlp_ratios=(2, 2, 2, 2), num_classes=4)


def tiny_unireplknet(size: int = 32) -> UniRepLKNet:
    return UniRepLKNet(widths=(8, 16, 24, 32), kernels=((3,), (13,), (13, 3), (7,)), num_classes=4)


def tiny_transnext(size: int = 32) -> nn.Module:
    return TransNeXt(
        widths=(8, 16, 24, 32),
        depths=(1, 1, 2, 1),
        heads=(1, 2, 3, 4),
        mlp_ratios=(3, 3, 3, 3),
        img_size=size,
        num_classes=4,
    )


TINY = {"moganet": tiny_moganet, "unireplknet": tiny_unireplknet, "transnext": tiny_transnext}
each_tiny = pytest.mark.parametrize("build", TINY.values(), ids=TINY.keys())


@pytest.fixture(autouse=True)
def one_thread() -> None:
    reset_process_state(0, threads=1)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@each_form
@pytest.mark.parametrize(("classes", "column"), [(1000, 0), (100, 1)])
def test_sizes_are_those_of_the_paper(name: str, classes: int, column: int) -> None:
    # `meta` counts without drawing weights.
    with torch.device("meta"):
        parameters = count(FORMS[name].build(num_classes=classes))
    assert parameters / 1e6 == pytest.approx(FORMS[name].millions[column], abs=6e-4)
    if classes == 1000:
        assert parameters == get_backbone(name.partition(" ")[0]).parameters


@each_form
def test_maps_after_the_stem_and_at_the_end(name: str) -> None:
    form = FORMS[name]
    with torch.device("meta"):
        network = form.build(num_classes=100)
        images = torch.empty(2, 3, form.size, form.size)
    shapes: list[tuple[int, ...]] = []
    for part in (network.stem, network.stages):
        part.register_forward_hook(lambda part, inputs, output: shapes.append(tuple(output.shape)))
    assert network(images).shape == (2, 100)
    assert shapes == [(2, channels, side, side) for channels, side in (form.stem, form.end)]


def macs(network: nn.Module, size: int) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.zeros(1, 3, size, size, device="meta"))
    return counter.get_total_flops() // 2


@each_form
def test_work_is_that_of_the_catalogue(name: str) -> None:
    """Counted as for the networks of timm: products of convolutions, linear layers and attention."""
    info = get_backbone(name.partition(" ")[0])
    with torch.device("meta"):
        network = FORMS[info.name].build(num_classes=1000)
    assert (info.macs, info.input_size) == (macs(network, 224), 224)


def test_work_is_counted_as_for_timm() -> None:
    info = get_backbone("deit_tiny_cifar")
    with torch.device("meta"):
        network = build_timm("deit_tiny_patch16_224")
    assert macs(network, 224) == info.macs


def build_timm(name: str) -> nn.Module:
    from trainers.networks.timm_models import create_model

    return create_model(model_name=name, num_classes=1000, in_chans=3)


def noise(images: int, size: int = 32) -> tuple[Tensor, Tensor]:
    return torch.randn(images, 3, size, size), torch.randint(4, (images,))


@each_tiny
def test_every_parameter_gets_a_gradient(build: Callable[..., nn.Module]) -> None:
    """After one update: scales that start at zero hide what is behind them."""
    network = build(size=64)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    # A last map of one pixel would not differ from its mean.
    images, labels = noise(8, size=64)
    for _ in range(2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    without = [name for name, parameter in network.named_parameters() if not gradient(parameter).any()]
    assert without == []


def gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad


@each_tiny
def test_noise_is_learned_by_heart(build: Callable[..., nn.Module]) -> None:
    network = build()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0.0)
    images, labels = noise(64)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        if loss.item() < 0.05:
            return
    pytest.fail(f"loss {loss.item():.3f} after 60 steps")


@each_tiny
def test_weights_move_to_another_copy(build: Callable[..., nn.Module]) -> None:
    first, second = build(), build()
    images, _ = noise(4)
    first(images)  # moves the statistics of the norms
    assert not torch.equal(first.eval()(images), second.eval()(images))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(images), second(images))


@pytest.mark.parametrize("build", [MogaNet, UniRepLKNet, TransNeXt], ids=TINY.keys())
def test_paths_are_dropped_more_often_towards_the_end(build: Callable[..., nn.Module]) -> None:
    with torch.device("meta"):
        network = build(drop_path_rate=0.3)
    rates = [module.drop_prob for module in network.modules() if type(module).__name__ == "DropPath"]
    assert rates == sorted(rates)
    assert (rates[0], rates[-1]) == (0.0, pytest.approx(0.3))


def test_the_catalogue_builds_the_form_for_32_px() -> None:
    network = build_backbone(form_for(get_backbone("moganet_small"), 32), classes=100, channels=3, image_size=32)
    assert count(network) / 1e6 == pytest.approx(24.874, abs=6e-4)
    assert network.stem(torch.zeros(1, 3, 32, 32)).shape == (1, 64, 32, 32)


def unlike_at_first(network: nn.Module) -> nn.Module:
    """Moves what starts at zero, one or nearly so: scales, shifts and the statistics of norms."""
    for module in network.modules():
        for tensor in module.parameters(recurse=False):
            nn.init.normal_(tensor, std=0.5)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


@pytest.mark.parametrize("kernel", BRANCHES)
def test_branches_merge_into_one_kernel(kernel: int) -> None:
    block = unlike_at_first(DilatedReparam(6, kernel))
    images = torch.randn(2, 6, 20, 20)
    assert block.merged().kernel_size == (kernel, kernel)
    torch.testing.assert_close(block.merged()(images), block(images), rtol=1e-4, atol=1e-4)


def test_a_reparameterised_network_gives_the_same() -> None:
    network = unlike_at_first(tiny_unireplknet())
    images, _ = noise(4, size=64)
    before = network(images)
    network.reparameterise()
    torch.testing.assert_close(network(images), before, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    state = network.state_dict()
    network.reparameterise()
    assert network.state_dict().keys() == state.keys(), "a second time changes nothing"


def test_a_reparameterised_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = UniRepLKNet()
        network.reparameterise()
    assert count(network) / 1e6 == pytest.approx(31.038, abs=6e-4)


def test_positions_are_distances_to_the_middle_of_pooled_pixels() -> None:
    side, ratio = 8, 4
    position = PositionBias(2, side, ratio)
    queries = torch.arange(side).float()
    keys = nn.functional.avg_pool1d(queries[None], ratio)[0]
    queries = torch.cartesian_prod(queries, queries)
    keys = torch.cartesian_prod(keys, keys)
    distances = (queries[:, None] - keys[None]) * 8 / (side - 1)
    expected = distances.sign() * (distances.abs() + 1).log2() / 3
    torch.testing.assert_close(position.distances[position.index], expected)
    assert position().shape == (2, side**2, (side // ratio) ** 2)


def test_weight_decay_leaves_positions_alone() -> None:
    network = tiny_transnext()
    exempt = network.no_weight_decay()
    assert exempt < {name for name, _ in network.named_parameters()}
    first = "stages.0.blocks.0.attention.1."
    assert {name.removeprefix(first) for name in exempt if name.startswith(first)} == {
        "local_bias",
        "query_scale.embedding",
        "query_scale.temperature",
        *(f"position.mlp.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")),
    }


def test_images_that_cannot_be_halved_often_enough_are_refused() -> None:
    with pytest.raises(UserError, match="takes images of 160, 192, 224, 256, 288 px; got 48 px"):
        build_backbone(get_backbone("transnext_tiny"), classes=10, channels=3, image_size=48)
