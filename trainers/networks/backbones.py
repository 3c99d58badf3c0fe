"""From a backbone's name to its record, and from the record to a network.

Names are looked up in the catalogue, then read as a user's own `package.module:function`, then looked up in timm;
only the last two import anything heavy.
"""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING

from search_spaces.backbones import BackboneInfo, Initialisation, get_backbone, list_backbones
from search_spaces.errors import UserError, unknown_name
from trainers.imports import OWN_CODE_ERRORS, check_source, load_callable, source_sha256

if TYPE_CHECKING:
    from torch import nn


def resolve_backbone(name: str) -> BackboneInfo:
    """The record for a name of the catalogue, of timm, or of a user's own function.

    An own function is called with `num_classes` and, where its signature names them, `in_chans`, `img_size` and
    `drop_path_rate`.

    Raises:
        UserError: Nothing has that name, or the function cannot be imported.
    """
    catalogue = [info.name for info in list_backbones()]
    if name in catalogue:
        return get_backbone(name)
    if ":" in name:
        return _own_backbone(name)
    # Deferred: importing timm takes seconds.
    from trainers.networks import timm_models

    names = timm_models.model_names()
    if name not in names:
        # The 1300 names of timm are listed only where some resemble what was asked for.
        raise unknown_name("backbone", name, catalogue + difflib.get_close_matches(name, names))
    size, structure = timm_models.input_size(name), timm_models.structure(name)
    return BackboneInfo(
        name=name,
        family="timm",
        builder="trainers.networks.timm_models:create_model",
        arguments={"model_name": name},
        takes_image_size=size.is_fixed,
        takes_drop_path=structure.takes_drop_path,
        keeps_input_size=True,
        parameters=structure.parameters,
        input_size=size.pixels,
        initialisation=Initialisation.TIMM,
        source="timm",
    )


def _own_backbone(path: str) -> BackboneInfo:
    builder = load_callable(path, purpose=f"backbone {path}")
    parameters = inspect.signature(builder).parameters
    return BackboneInfo(
        name=path,
        family="own",
        builder=path,
        takes_channels="in_chans" in parameters,
        takes_image_size="img_size" in parameters,
        takes_drop_path="drop_path_rate" in parameters,
        initialisation=Initialisation.OWN,
        source="own code",
        source_sha256=source_sha256(path),
    )


def build_backbone(
    info: BackboneInfo,
    *,
    classes: int,
    channels: int,
    image_size: int,
    drop_path: float = 0.0,
    mlp_dropout: float = 0.0,
) -> nn.Module:
    """A network with fresh weights, drawn from torch's global generator, that was seen to accept such images.

    Args:
        info: The backbone.
        classes: Outputs.
        channels: Channels of the images.
        image_size: Side of the images in pixels.
        drop_path: Stochastic depth: the probability, in [0, 1), with which an image skips the last residual branch,
            growing linearly from 0. It acts where `acting_drop_path` says so.
        mlp_dropout: Dropout within the MLPs of a network that takes it.

    Raises:
        UserError: It cannot be built for these images, or gives something other than one row of `classes` logits
            per image.
    """
    if info.image_sizes and image_size not in info.image_sizes:
        accepted = ", ".join(map(str, info.image_sizes))
        raise UserError(f"backbone {info.name} takes images of {accepted} px; got {image_size} px")
    if not 0 <= drop_path < 1:
        raise UserError(f"drop_path must be at least 0 and below 1; got {drop_path}")
    builder = load_callable(info.builder, purpose=f"backbone {info.name}")
    check_source(info.builder, info.source_sha256, purpose=f"backbone {info.name}")
    arguments = {**info.arguments, "num_classes": classes}
    if info.takes_channels:
        arguments["in_chans"] = channels
    if info.takes_image_size:
        arguments["img_size"] = image_size
    if info.takes_drop_path:
        # Given even where it is 0: some architectures of timm have a rate of their own.
        arguments["drop_path_rate"] = drop_path
    if info.takes_mlp_dropout:
        arguments["proj_drop_rate"] = mlp_dropout
    shape = f"{classes} classes and images of {channels}x{image_size}x{image_size}"
    try:
        network = builder(**arguments)
        outputs = _try_forward(network, channels, image_size)
    except OWN_CODE_ERRORS as error:
        raise UserError(f"backbone {info.name} cannot be built for {shape}: {error}") from error
    if outputs != (2, classes):
        raise UserError(f"backbone {info.name} must give (2, {classes}) logits for 2 images; got shape {outputs}")
    # Deferred, as everything that imports torch.
    from trainers.networks.strided_convolutions import spare_strided_pointwise

    spare_strided_pointwise(network)
    return network  # type: ignore[no-any-return]  # _try_forward refuses what is not a module


def check_accepts(info: BackboneInfo, network: nn.Module, *, channels: int, image_size: int) -> None:
    """Checks that a network, once built, takes training images of another size than it was built for.

    Raises:
        UserError: It does not.
    """
    try:
        _try_forward(network, channels, image_size)
    except OWN_CODE_ERRORS as error:
        raise UserError(
            f"backbone {info.name} cannot train on images of {image_size} px where it is tested on others ({error}); "
            'set training.train_size = "none", or choose another recipe'
        ) from error


def _try_forward(network: object, channels: int, image_size: int) -> tuple[int, ...]:
    """Shape of the output for two black images, without touching the network's statistics."""
    # Deferred: resolving a name of the catalogue must not wait for torch.
    import torch

    if not isinstance(network, torch.nn.Module):
        raise TypeError(f"its builder returned {type(network).__name__}, not a torch.nn.Module")
    network.eval()
    with torch.no_grad():
        outputs = network(torch.zeros(2, channels, image_size, image_size))
    network.train()
    if not isinstance(outputs, torch.Tensor):
        raise TypeError(f"its output is {type(outputs).__name__}, not a tensor")
    return tuple(outputs.shape)
