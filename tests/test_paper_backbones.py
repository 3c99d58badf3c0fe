"""The paper's networks: their sizes, the two forms of those that it trains at 32 px, and that all of each learns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from orchestrator.errors import SpecError
from orchestrator.planning.plan import Plan, default_trials
from search_spaces.backbones import BACKBONES, BackboneInfo, form_for, get_backbone
from search_spaces.errors import UserError
from search_spaces.paper_backbones import CIFAR_FORMS, PAPER20, PAPER_BACKBONES, SHORT_NAMES
from tests.planned_sweeps import small_plan
from trainers.backbones import build_backbone
from trainers.config import TrialConfig
from trainers.paper_networks import cifar_convnext, cifar_densenet, cifar_resnet, metaformer
from trainers.process import reset_process_state
from trainers.timm_models import timm

NAMES = [info.name for info in PAPER_BACKBONES]
SMALL = [info.name for info in CIFAR_FORMS]
SIZES = Path(__file__).parent / "fixtures" / "paper" / "backbone_sizes.csv"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    reset_process_state(0, threads=1)


def build(name: str, image_size: int, *, classes: int = 100) -> nn.Module:
    info = form_for(get_backbone(name), image_size)
    return build_backbone(info, classes=classes, channels=3, image_size=image_size)


def on_meta(name: str, image_size: int, *, classes: int = 100) -> nn.Module:
    """Without weights, which is enough to count and costs nothing."""
    with torch.device("meta"):
        return build(name, image_size, classes=classes)


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
    for_imagenet, for_cifar = on_meta(name, 224, classes=1000), on_meta(name, trained_size(name))
    assert (
        count(for_imagenet) == get_backbone(name).parameters == pytest.approx(float(row["classes_1000"]) * 1e6, 1e-4)
    )
    assert count(for_cifar) == pytest.approx(float(row["classes_100"]) * 1e6, 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_multiply_accumulates_are_those_of_one_forward_pass(name: str) -> None:
    network = on_meta(name, 224, classes=1000).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() == 2 * (get_backbone(name).macs or 0)


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
    for module in STEMS[name]:
        network.get_submodule(module).register_forward_hook(
            lambda _module, _inputs, output: seen.append(output.shape[-1])
        )
    network(torch.zeros(2, 3, size, size, device="meta"))
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


@pytest.mark.parametrize("name", SMALL)
def test_the_small_stem_is_drawn_as_the_stock_one(name: str) -> None:
    """Same law: the spread only depends on the sides of the kernel, or not even on them."""
    small, large = (next(build(name, size).parameters()) for size in (32, 224))
    fans = {"resnet50": 49 / 9, "resnet101": 49 / 9, "densenet121": 49 / 9}
    assert (small.std() / large.std()).item() == pytest.approx(fans.get(name, 1.0) ** 0.5, rel=0.1)


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


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name: str) -> None:
    """After one update, since branches that start at zero give others no gradient in the first."""
    size = min(form_for(get_backbone(name), trained_size(name)).image_sizes)
    network = build(name, size)
    images, labels = torch.randn(2, 3, size, size), torch.tensor([3, 70])
    for step in range(2):
        network.zero_grad()
        loss = nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        if step == 0:
            torch.optim.SGD(network.parameters(), lr=0.01).step()
    assert loss.isfinite()
    assert [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()] == []


@pytest.mark.parametrize(
    "name", ["resnet50", "densenet121", "convnextv2_tiny", "mobilenetv2", "deit_small", "caformer_s12"]
)
def test_weights_can_be_kept_and_loaded(name: str) -> None:
    size = trained_size(name)
    first, second = build(name, size).eval(), build(name, size).eval()
    images = torch.randn(1, 3, size, size)
    assert not torch.equal(first(images), second(images))
    kept = io.BytesIO()
    torch.save(first.state_dict(), kept)
    kept.seek(0)
    second.load_state_dict(torch.load(kept))
    assert torch.equal(first(images), second(images))


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
    [(None, "trainers.paper_networks:cifar_resnet"), (224, "trainers.timm_models:create_model")],
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
