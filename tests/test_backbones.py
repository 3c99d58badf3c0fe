"""The backbone catalogue, names of timm, a user's own functions, and what is built from them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.errors import SpecError
from search_spaces.backbones import (
    BackboneInfo,
    Initialisation,
    acting_drop_path,
    get_backbone,
    image_size_for,
    list_backbones,
)
from search_spaces.cifar_forms import CIFAR_FORMS
from search_spaces.errors import UserError
from tests.planned_sweeps import small_plan
from trainers.networks.backbones import build_backbone, resolve_backbone
from trainers.networks.timm_models import DropPath
from trainers.process import reset_process_state

SHAPES = {"digits": (10, 1, 8), "cifar": (100, 3, 32)}
"""By family; those of the paper have `test_paper_backbones.py` and `test_networks.py`."""
NETWORKS = [info for info in list_backbones() if info.family in SHAPES]
OF_TIMM = {
    "resnet18_cifar": "resnet18",
    "deit_tiny_cifar": "deit_tiny_patch16_224",
    "convnext_atto_cifar": "convnext_atto",
}


def linear(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))


def sized(num_classes: int, in_chans: int, img_size: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(in_chans * img_size**2, num_classes))


def wrong_outputs(num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes + 1))


def no_network(num_classes: int) -> int:
    return num_classes


NOT_CALLABLE = 3


@pytest.fixture(autouse=True)
def one_thread() -> None:
    reset_process_state(0, threads=1)


def build(info: BackboneInfo, classes: int = 10, channels: int = 1, image_size: int = 8) -> nn.Module:
    return build_backbone(info, classes=classes, channels=channels, image_size=image_size)


@pytest.mark.parametrize("info", NETWORKS, ids=lambda info: info.name)
def test_every_network_takes_the_images_it_is_for(info: BackboneInfo) -> None:
    classes, channels, size = SHAPES[info.family]
    network = build(info, classes, channels, size)
    assert network.training
    loss = network(torch.rand(2, channels, size, size)).logsumexp(1).mean()
    loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", OF_TIMM)
def test_published_facts_are_those_of_timm(name: str) -> None:
    # `meta` counts without drawing weights.
    with torch.device("meta"):
        network = resolve_and_build(OF_TIMM[name])
    assert sum(parameter.numel() for parameter in network.parameters()) == get_backbone(name).parameters


def test_every_network_with_published_facts_is_checked() -> None:
    """Those written here in `test_networks.py`."""
    written = ("trainers.networks.moganet", "trainers.networks.unireplknet", "trainers.networks.transnext")
    named = {info.name for info in NETWORKS if info.parameters and not info.builder.startswith(written)}
    assert named == {*OF_TIMM, "deit_small_patch4_32"}


def resolve_and_build(name: str) -> nn.Module:
    from trainers.networks.timm_models import timm

    return timm.create_model(name)


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18_cifar", 32), ("convnext_atto_cifar", 16), ("resnet_digits", 8)]
)
def test_the_stem_keeps_the_map(name: str, size: int) -> None:
    info = get_backbone(name)
    classes, channels, image_size = SHAPES[info.family]
    network = build(info, classes, channels, image_size)
    stem = network.stem if hasattr(network, "stem") else nn.Sequential(network.conv1, network.bn1, network.maxpool)
    assert stem(torch.rand(2, channels, image_size, image_size)).shape[-1] == size


def test_weights_come_from_the_global_generator() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in build(get_backbone("vit_digits")).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_names_of_the_catalogue_and_families_are_listed() -> None:
    families = {info.family for info in list_backbones()}
    assert families == {"digits", "cifar", "primary", "classical", "modern", "synthetic"}
    for info in list_backbones():
        assert resolve_backbone(info.name) is get_backbone(info.name) is info


@pytest.mark.parametrize(("name", "takes_size"), [("resnet18", False), ("test_vit", True)])
def test_any_network_of_timm_can_be_built(name: str, takes_size: bool) -> None:
    info = resolve_backbone(name)
    assert (info.family, info.takes_image_size) == ("timm", takes_size)
    assert build(info, 7, 3, 32)(torch.rand(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(("name", "close"), [("resnet_digit", "resnet_digits"), ("convnext_tinny", "convnext_tiny")])
def test_an_unknown_name_shows_close_ones(name: str, close: str) -> None:
    with pytest.raises(UserError, match=f"unknown backbone '{name}'; did you mean .*{close}"):
        resolve_backbone(name)


def test_functions_of_ones_own_get_what_their_signature_takes() -> None:
    plain, with_size = resolve_backbone(f"{__name__}:linear"), resolve_backbone(f"{__name__}:sized")
    assert (plain.takes_channels, plain.takes_image_size) == (False, False)
    assert (with_size.takes_channels, with_size.takes_image_size) == (True, True)
    assert build(plain)(torch.rand(2, 1, 8, 8)).shape == (2, 10)
    assert build(with_size, channels=3)(torch.rand(2, 3, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("no_such_package:network", "cannot import no_such_package"),
        (f"{__name__}:linaer", "did you mean linear"),
        (f"{__name__}:NOT_CALLABLE", "not a class or function"),
        (":network", "package.module:name"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, part: str) -> None:
    with pytest.raises(UserError, match=part):
        resolve_backbone(path)


@pytest.mark.parametrize(
    ("info", "shape", "part"),
    [
        (resolve_backbone(f"{__name__}:wrong_outputs"), (10, 1, 8), "logits"),
        (resolve_backbone(f"{__name__}:no_network"), (10, 1, 8), "not a torch.nn.Module"),
        (resolve_backbone(f"{__name__}:linear"), (10, 3, 8), "cannot be built for 10 classes and images of 3x8x8"),
        (get_backbone("vit_digits"), (10, 1, 32), "vit_digits takes images of 8 px; got 32"),
        (get_backbone("deit_tiny_cifar"), (10, 3, 3), "deit_tiny_cifar cannot be built"),
    ],
    ids=lambda value: value.name.partition(":")[2] or value.name if isinstance(value, BackboneInfo) else "",
)
def test_networks_that_do_not_fit_are_named(info: BackboneInfo, shape: tuple[int, int, int], part: str) -> None:
    with pytest.raises(UserError, match=part):
        build(info, *shape)


def test_own_code_may_import_timm_by_itself(tmp_path: Path) -> None:
    """In a fresh process, where nothing has imported timm the careful way yet."""
    (tmp_path / "my_networks.py").write_text(
        "import timm\n\ndef wide(num_classes, in_chans):\n"
        "    return timm.create_model('resnet10t', num_classes=num_classes, in_chans=in_chans)\n"
    )
    code = (
        "from trainers.networks.backbones import build_backbone, resolve_backbone\n"
        "print(type(build_backbone(resolve_backbone('my_networks:wide'), classes=3, channels=1, image_size=32)))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent)])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert "ResNet" in done.stdout, done.stderr


each_form = pytest.mark.parametrize("info", [*NETWORKS, *CIFAR_FORMS], ids=lambda info: f"{info.name}-{info.family}")
"""The forms for ImageNet are in `test_paper_backbones.py`."""


def on_meta(info: BackboneInfo, drop_path: float) -> nn.Module:
    """Without weights, at the smallest size it takes."""
    with torch.device("meta"):
        return build_backbone(info, classes=10, channels=3, image_size=smallest(info), drop_path=drop_path)


def smallest(info: BackboneInfo) -> int:
    return min(info.image_sizes, default=32)


@each_form
def test_stochastic_depth_acts_where_the_record_says_so(info: BackboneInfo) -> None:
    """Branches with a rate are passed in training; rates grow to the one given; nothing else changes."""
    network, plain = on_meta(info, 0.5), on_meta(info, 0.0)
    assert [p.shape for p in network.parameters()] == [p.shape for p in plain.parameters()]
    assert dropping(plain) == []
    paths = dropping(network)
    assert bool(paths) == info.takes_drop_path == (info.name != "densenet121")
    # The last block of RepVGG has no branch to skip, and the ramp ends before it.
    assert acting_drop_path(info, 0.5) >= max((path.drop_prob for path in paths), default=0.0)
    assert acting_drop_path(info, 0.5) == (0.5 if paths else 0.0)
    passed: list[nn.Module] = []
    for path in paths:
        path.register_forward_hook(lambda module, inputs, output: passed.append(module))
    network(torch.zeros(2, 3, smallest(info), smallest(info), device="meta"))
    assert set(passed) == set(paths)


def dropping(network: nn.Module) -> list[DropPath]:
    return [module for module in network.modules() if isinstance(module, DropPath) and module.drop_prob > 0]


@pytest.mark.parametrize("info", [i for i in NETWORKS if i.family == "digits"], ids=lambda info: info.name)
def test_branches_are_dropped_in_training_alone(info: BackboneInfo) -> None:
    network = build_backbone(info, classes=10, channels=1, image_size=8, drop_path=0.5)
    for parameter in network.parameters():
        if parameter.ndim < 2 or not parameter.any():
            nn.init.normal_(parameter)  # branches and classifiers that start at zero hide what is dropped
    images = torch.rand(16, 1, 8, 8)
    with torch.no_grad():
        assert not torch.equal(network(images), network(images))
        network.eval()
        assert torch.equal(network(images), network(images))


def test_a_rate_that_is_no_probability_is_refused() -> None:
    with pytest.raises(UserError, match=r"drop_path must be at least 0 and below 1; got 1\.5"):
        build_backbone(get_backbone("vit_digits"), classes=10, channels=1, image_size=8, drop_path=1.5)


@pytest.mark.parametrize(
    ("name", "takes", "pixels"),
    [("test_vit", True, 160), ("test_resnet", True, 160), ("ghostnet_100", False, 224), ("resnet10t", True, 176)],
)
def test_names_of_timm_say_what_they_take(name: str, takes: bool, pixels: int) -> None:
    info = resolve_backbone(name)
    assert (info.takes_drop_path, info.input_size, info.initialisation) == (takes, pixels, Initialisation.TIMM)
    assert len(dropping(on_meta(info, 0.3))) > 0 or not takes


def test_a_rate_of_timms_own_does_not_act() -> None:
    """timm's Swin has 0.1 where none is given."""
    assert dropping(on_meta(get_backbone("swin_tiny"), 0.0)) == []


@pytest.mark.parametrize(
    ("name", "data_size", "asked", "size"),
    [
        ("resnet50", 32, None, 32),
        ("resnet50", 32, 64, 64),  # that no form takes it is for `form_for` to say
        ("resnet50", 64, None, 224),
        ("alexnet", 32, None, 224),
        ("deit_small", 32, None, 224),
        ("deit_small_patch4_32", 32, None, 32),
        ("deit_small_patch4_32", 8, None, 32),
        ("resnet18_cifar", 32, None, 32),
        ("resnet18_cifar", 64, None, 64),
        ("vit_digits", 32, None, 32),
        ("synthetic_a", 8, None, 8),
        ("resnet10t", 32, None, 176),
        ("resnet10t", 32, 32, 32),
        (f"{__name__}:sized", 17, None, 17),
    ],
)
def test_the_size_of_the_images_follows_from_backbone_and_data(
    name: str, data_size: int, asked: int | None, size: int
) -> None:
    assert image_size_for(resolve_backbone(name), data_size, asked) == size


def test_the_small_deit_has_its_measured_size() -> None:
    info = get_backbone("deit_small_patch4_32")
    with torch.device("meta"):
        network = build_backbone(info, classes=1000, channels=3, image_size=32).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 3, 32, 32))
    assert sum(parameter.numel() for parameter in network.parameters()) == info.parameters
    assert counter.get_total_flops() == 2 * (info.macs or 0)
    assert network.patch_embed.grid_size == (8, 8)


def test_dropout_within_mlps_acts_where_it_is_taken_and_is_refused_elsewhere() -> None:
    network = build_backbone(
        get_backbone("mixer_s16"), classes=2, channels=3, image_size=224, drop_path=0.0, mlp_dropout=0.1
    )
    assert sum(isinstance(module, nn.Dropout) and module.p == 0.1 for module in network.modules()) == 8 * 4
    with pytest.raises(
        SpecError,
        match=r"training\.mlp_dropout = 0\.1 acts in no cell: dropout within MLPs needs a backbone that takes it",
    ):
        small_plan(
            grid={"backbones": ["resnet_digits"], "optimizers": ["sgd"]},
            data={"name": "digits"},
            training={"epochs": 1, "mlp_dropout": 0.1},
        )
