"""The paper's networks: their sizes, the two forms of those that it trains at 32 px, and that all of each learns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.errors import SpecError
from orchestrator.planning.plan import Plan, default_trials
from search_spaces.backbones import BACKBONES, BackboneInfo, form_for, get_backbone
from search_spaces.cifar_forms import CIFAR_FORMS
from search_spaces.errors import UserError
from search_spaces.paper_backbones import PAPER_BACKBONES
from search_spaces.paper_names import PAPER20, SHORT_NAMES
from tests.planned_sweeps import small_plan
from trainers.config import TrialConfig
from trainers.networks.backbones import build_backbone
from trainers.networks.moganet import MogaNet
from trainers.networks.paper_networks import cifar_convnext, cifar_densenet, cifar_resnet, metaformer
from trainers.networks.timm_models import DropPath, timm
from trainers.process import reset_process_state

NAMES = [info.name for info in PAPER_BACKBONES]
SMALL = [info.name for info in CIFAR_FORMS]
SIZES = Path(__file__).parent / "fixtures" / "paper" / "backbone_sizes.csv"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    reset_process_state(0, threads=1)


def build(name: str, image_size: int, *, classes: int = 100, drop_path: float = 0.0) -> nn.Module:
    info = form_for(get_backbone(name), image_size)
    return build_backbone(info, classes=classes, channels=3, image_size=image_size, drop_path=drop_path)


@cache
def on_meta(name: str, image_size: int) -> nn.Module:
    """For 100 classes, without weights, which is enough for shapes and costs nothing; shared, so left as it is."""
    with torch.device("meta"):
        return build(name, image_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What one training pass of a network for ImageNet shows, with stochastic depth of 0.5."""

    parameters: int
    macs: int
    rates: list[float]
    """Of the branches that can be dropped."""
    dropped: int
    """Branches of these that the pass came by."""


@cache
def counted(name: str) -> Counted:
    with torch.device("meta"):
        network = build(name, 224, classes=1000, drop_path=0.5)
    paths = [module for module in network.modules() if isinstance(module, DropPath) and module.drop_prob > 0]
    passed: list[nn.Module] = []
    for path in paths:
        path.register_forward_hook(lambda module, inputs, output: passed.append(module))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 224, 224, device="meta"))
    return Counted(
        parameters=count(network),
        macs=counter.get_total_flops() // 2,
        rates=[path.drop_prob for path in paths],
        dropped=len(set(passed)),
    )


def trained_size(name: str) -> int:
    """Pixels of the form that the paper trains on CIFAR-100."""
    return 32 if name in SMALL else 224


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def published() -> Mapping[str, Mapping[str, str]]:
    with SIZES.open(encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_every_network_has_a_published_size() -> None:
    assert list(published()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_the_published_ones(name: str) -> None:
    row = published()[name]
    for_imagenet = counted(name).parameters
    assert for_imagenet == get_backbone(name).parameters == pytest.approx(float(row["classes_1000"]) * 1e6, 1e-4)
    assert count(on_meta(name, trained_size(name))) == pytest.approx(float(row["classes_100"]) * 1e6, 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_multiply_accumulates_are_those_of_one_forward_pass(name: str) -> None:
    assert counted(name).macs == get_backbone(name).macs


@pytest.mark.parametrize("name", NAMES)
def test_stochastic_depth_grows_to_the_rate_that_is_given(name: str) -> None:
    """Where the last block has no branch to skip (RepVGG, MobileNetV2, EfficientNet) it ends a little earlier."""
    found = counted(name)
    assert bool(found.rates) == get_backbone(name).takes_drop_path == (name not in WITHOUT_BRANCHES)
    assert found.rates == sorted(found.rates)
    assert max(found.rates, default=0.5) == pytest.approx(0.5, rel=0.2)
    # Those two keep a rate in blocks without a branch, too, where it is never asked.
    assert found.dropped == len(found.rates) or name in ("mobilenetv2", "efficientnet_b0")
    assert found.dropped >= len(found.rates) / 2


WITHOUT_BRANCHES = {"alexnet", "vgg13_bn", "densenet121"}

STEMS = {
    "resnet50": ("maxpool", "layer4"),
    "resnet101": ("maxpool", "layer4"),
    "densenet121": ("features.pool0", "features.norm5"),
    "convnext_tiny": ("stem", "stages"),
    "convnextv2_tiny": ("stem", "stages"),
    "moganet_small": ("stem", "stages"),
}
"""Last module of the stem, and of the stages."""


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("size", "sides"), [(32, [32, 4]), (224, [56, 7])])
def test_the_stem_keeps_the_map_of_small_images_only(name: str, size: int, sides: list[int]) -> None:
    network = on_meta(name, size)
    seen: list[int] = []
    hooks = [
        network.get_submodule(module).register_forward_hook(
            lambda _module, _inputs, output: seen.append(output.shape[-1])
        )
        for module in STEMS[name]
    ]
    network(torch.zeros(2, 3, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    assert seen == sides


@pytest.mark.parametrize("name", SMALL)
def test_the_small_form_differs_in_the_stem_alone(name: str) -> None:
    def shapes(size: int) -> dict[str, torch.Size]:
        return {key: value.shape for key, value in on_meta(name, size).state_dict().items()}

    stem = ("conv1.", "features.conv0.", "features.norm0.", "stem.0.")
    small, large = (
        {key: shape for key, shape in shapes(size).items() if not key.startswith(stem)} for size in (32, 224)
    )
    assert small == large


SHALLOW = {
    "resnet": (
        lambda: cifar_resnet(layers=(1, 1, 1, 1), **FEW),
        lambda: timm.models.resnet.ResNet(timm.models.resnet.Bottleneck, (1, 1, 1, 1), **FEW),
        49 / 9,
    ),
    "densenet": (
        lambda: cifar_densenet(block_config=(1, 1, 1, 1), **FEW),
        lambda: timm.models.densenet.DenseNet(block_config=(1, 1, 1, 1), **FEW),
        49 / 9,
    ),
    "convnext": (
        lambda: cifar_convnext(depths=(1, 1, 1, 1), dims=(96, 8, 8, 8), **FEW),
        lambda: timm.models.convnext.ConvNeXt(depths=(1, 1, 1, 1), dims=(96, 8, 8, 8), **FEW),
        1.0,
    ),
    "moganet": (
        lambda: MogaNet(depths=(1, 1, 1, 1), stem_stride=1, **FEW),
        lambda: MogaNet(depths=(1, 1, 1, 1), **FEW),
        1.0,
    ),
}
"""The builder of the form for 32 px, that of the stock one, and the ratio of the variances of their stems: the laws
are the same, and some depend on the sides of the kernel."""
FEW = {"num_classes": 2, "in_chans": 3}


@pytest.mark.parametrize("kind", SHALLOW)
def test_the_small_stem_is_drawn_as_the_stock_one(kind: str) -> None:
    """Within four standard errors of a deviation estimated from at least 864 weights."""
    small, large, ratio = SHALLOW[kind]
    stems = [next(make().parameters()) for make in (small, large)]
    assert (stems[0].std() / stems[1].std()).item() == pytest.approx(ratio**0.5, rel=0.1)


@pytest.mark.parametrize(
    ("name", "size", "accepted"),
    [
        ("resnet50", 64, "32, 160, 192, 224, 256, 288"),
        ("alexnet", 32, "160, 192, 224, 256, 288"),
        ("deit_small", 32, "224"),
        ("swin_tiny", 256, "224"),
    ],
)
def test_a_size_that_no_form_takes_is_refused(name: str, size: int, accepted: str) -> None:
    with pytest.raises(UserError, match=f"backbone {name} takes images of {accepted} px; got {size} px"):
        form_for(get_backbone(name), size)


def test_a_form_leads_to_its_sibling_and_to_itself() -> None:
    large = get_backbone("resnet50")
    small = form_for(large, 32)
    assert small is form_for(small, 32) is not large
    assert form_for(small, 224) is large is form_for(large, 160)
    plain = BackboneInfo(name="own:net", family="own", builder="own:net")
    assert form_for(plain, 17) is plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A network with weights, and two images of the smallest size that it is trained at, in the trainer's layout."""

    name: str
    network: nn.Module
    images: torch.Tensor


@pytest.fixture(scope="module")
def trained(request: pytest.FixtureRequest) -> Trained:
    """Built once for all tests of it."""
    reset_process_state(0, threads=1)
    size = smallest(request.param)
    network = build(request.param, size).to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, size, size).contiguous(memory_format=torch.channels_last)
    return Trained(name=request.param, network=network, images=images)


def smallest(name: str) -> int:
    return min(form_for(get_backbone(name), trained_size(name)).image_sizes)


@pytest.mark.parametrize("trained", NAMES, indirect=True)
def test_every_parameter_learns(trained: Trained) -> None:
    """At once, or after one update where branches that start at zero give others no gradient in the first."""
    network = trained.network.train()
    for _ in range(2):
        network.zero_grad()
        loss = nn.functional.cross_entropy(network(trained.images), torch.tensor([3, 70]))
        loss.backward()
        silent = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
        if not silent:
            break
        torch.optim.SGD(network.parameters(), lr=0.01).step()
    assert loss.isfinite()
    assert silent == []


@pytest.mark.parametrize(
    "trained",
    ["resnet50", "densenet121", "convnextv2_tiny", "mobilenetv2", "deit_small", "caformer_s12"],
    indirect=True,
)
def test_weights_can_be_kept_and_loaded(trained: Trained) -> None:
    """Into a network that has none of its own."""
    kept = io.BytesIO()
    torch.save(trained.network.state_dict(), kept)
    kept.seek(0)
    with torch.device("meta"):
        second = build(trained.name, smallest(trained.name))
    second.load_state_dict(torch.load(kept), assign=True)
    with torch.no_grad():
        assert torch.equal(trained.network.eval()(trained.images), second.eval()(trained.images))


TINY = {
    "resnet": (lambda: cifar_resnet(layers=(1, 1, 1, 1), num_classes=8, in_chans=3), 8),
    "densenet": (lambda: cifar_densenet(block_config=(2, 2, 2, 2), num_classes=8, in_chans=3), 16),
    "convnext": (lambda: tiny_convnext(use_grn=False, ls_init_value=1e-6), 16),
    "convnextv2": (lambda: tiny_convnext(use_grn=True, ls_init_value=None), 16),
    "identityformer_s12": (lambda: tiny_metaformer("identityformer_s12"), 32),
    "poolformerv2_s12": (lambda: tiny_metaformer("poolformerv2_s12"), 32),
    "caformer_s12": (lambda: tiny_metaformer("caformer_s12"), 32),
}


def tiny_convnext(*, use_grn: bool, ls_init_value: float | None) -> nn.Module:
    return cifar_convnext(
        depths=(1, 1, 1, 1),
        dims=(16, 24, 32, 48),
        num_classes=8,
        in_chans=3,
        use_grn=use_grn,
        ls_init_value=ls_init_value,
    )


def tiny_metaformer(name: str) -> nn.Module:
    arguments = get_backbone(name).arguments
    return metaformer(**arguments, num_classes=8, in_chans=3, depths=(1, 1, 1, 1), dims=(16, 32, 32, 32))


@pytest.mark.parametrize("kind", TINY)
def test_small_ones_learn_random_images_by_heart(kind: str) -> None:
    torch.manual_seed(1)
    make, size = TINY[kind]
    network = make()
    images, labels = torch.randn(64, 3, size, size), torch.arange(64) % 8
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.0)
    for _ in range(200):
        optimizer.zero_grad()
        outputs = network(images)
        nn.functional.cross_entropy(outputs, labels).backward()
        optimizer.step()
        if (outputs.argmax(1) == labels).all():
            return
    pytest.fail("it did not learn 64 images by heart")


def test_repvgg_gives_the_same_with_its_branches_joined() -> None:
    network = build("repvgg_a1", 224)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        network.eval()
        images = torch.randn(2, 3, 224, 224)
        before = network(images)
        joined = timm.utils.reparameterize_model(network)
        assert torch.allclose(before, joined(images), atol=1e-4 * before.abs().max().item())
    assert count(joined) < count(network)


def plan_on_cifar(*backbones: str, image_size: int | None = None, exclude: tuple[list[str], ...] = ()) -> Plan:
    return small_plan(
        data={"name": "cifar100", "path": "/data", **({"image_size": image_size} if image_size else {})},
        grid={"backbones": list(backbones), "exclude": list(exclude)},
    )


@pytest.mark.parametrize(
    ("image_size", "builder"),
    [(None, "trainers.networks.paper_networks:cifar_resnet"), (224, "trainers.networks.timm_models:create_model")],
)
def test_the_form_follows_from_the_images_and_is_recorded(image_size: int | None, builder: str) -> None:
    plan = plan_on_cifar("resnet50", image_size=image_size)
    config = plan.config_of(default_trials(plan, plan.cells[0])[0])
    assert TrialConfig.from_json(config.to_json()).backbone.builder == builder


def test_a_plan_refuses_a_size_that_no_form_takes() -> None:
    with pytest.raises(SpecError, match=r"resnet50 takes images of 32, 160, .* px; got 64 px; set data.image_size"):
        plan_on_cifar("resnet50", image_size=64)


def test_families_and_short_names_can_be_written_in_a_grid() -> None:
    plan = plan_on_cifar("primary", "R-50", image_size=224, exclude=(["R-50", "adamw"],))
    assert list(plan.backbones) == ["alexnet", "vgg13_bn", "resnet50"]
    assert [
        cell.key for cell in plan.cells if cell.backbone.name == "resnet50" and cell.optimizer.name == "adamw"
    ] == []
    with pytest.raises(SpecError, match="names 'resnet50' twice"):
        plan_on_cifar("R-50", "classical", image_size=224)


def test_the_twenty_are_given_all_or_not_at_all() -> None:
    assert len(PAPER20) == 20
    known = [info.name for info in BACKBONES]
    missing = [name for name in PAPER20 if name not in known]
    assert set(NAMES) <= set(SHORT_NAMES.values())
    if missing:
        with pytest.raises(
            SpecError, match=f"paper20 is not complete in this version: {', '.join(missing)} are missing"
        ):
            plan_on_cifar("paper20", image_size=224)
    else:
        assert list(plan_on_cifar("paper20", image_size=224).backbones) == list(PAPER20)
