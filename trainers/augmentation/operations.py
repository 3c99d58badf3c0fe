"""The operations of each set of RandAugment, and what a level of magnitude in [0, 10] means to each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from search_spaces.augmentation_names import OperationSet
from trainers.augmentation import colour, geometry

FULL_LEVEL = 10.0
"""The largest magnitude."""

_RELEASED_FILL = (114, 123, 125)
_TIMM_FILL = (124, 116, 104)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of a set."""

    name: str
    apply: Callable[[Tensor, Tensor], Tensor]
    """Of images (N, C, H, W) uint8 and their parameters (N,), float64 on the CPU."""
    parameters: Callable[[Tensor, Tensor], Tensor]
    """Of magnitudes in [0, 10] and signs of -1 or 1, both (N,) float64 on the CPU."""


def default_fill(names: OperationSet, channels: int) -> tuple[int, ...]:
    """Levels where a moved image does not reach: the released configs' 114 123 125, timm's mean of ImageNet.

    Grey images get the mean of the three.
    """
    fill = _RELEASED_FILL if names is OperationSet.RELEASED14 else _TIMM_FILL
    return fill if channels == len(fill) else (round(sum(fill) / len(fill)),) * channels


def operations_of(names: OperationSet, fill: tuple[int, ...]) -> tuple[Operation, ...]:
    """The operations of a set; those that move pixels show `fill`, one level for each channel."""
    return _released14(fill) if names is OperationSet.RELEASED14 else _timm15(fill)


def _released14(fill: tuple[int, ...]) -> tuple[Operation, ...]:
    """The policies of the released `sz32_swin_bs100.py`, with the arguments its `auto_augment.py` gives them.

    The released code computes with OpenCV, whose cubic kernel (a = -3/4) is another one and whose moved images blend
    into the fill at their edge; ours are Pillow's operations with the same parameters.
    """
    enhance = partial(_enhance, least=0.05, most=0.95)
    return (
        Operation(name="AutoContrast", apply=_autocontrast, parameters=_none),
        Operation(name="Brightness", apply=colour.brightness, parameters=enhance),
        Operation(name="Color", apply=colour.colour, parameters=enhance),
        Operation(name="Contrast", apply=colour.contrast, parameters=enhance),
        Operation(name="Equalize", apply=_equalize, parameters=_none),
        Operation(name="Identity", apply=_identity, parameters=_none),
        Operation(name="Posterize", apply=colour.posterize, parameters=_more_bits),
        Operation(name="Rotate", apply=partial(geometry.rotate, fill=fill), parameters=partial(_signed, most=30.0)),
        Operation(name="Sharpness", apply=colour.sharpness, parameters=enhance),
        *_shears(fill),
        Operation(name="Solarize", apply=colour.solarize, parameters=_threshold),
        *_translations(fill, most=0.3),
    )


def _timm15(fill: tuple[int, ...]) -> tuple[Operation, ...]:
    """`_RAND_INCREASING_TRANSFORMS` of timm's `auto_augment.py` with its `LEVEL_TO_ARG`."""
    return (
        Operation(name="AutoContrast", apply=_autocontrast, parameters=_none),
        Operation(name="Equalize", apply=_equalize, parameters=_none),
        Operation(name="Invert", apply=_invert, parameters=_none),
        Operation(name="Rotate", apply=partial(geometry.rotate, fill=fill), parameters=partial(_signed, most=30.0)),
        Operation(name="Posterize", apply=colour.posterize, parameters=_fewer_bits),
        Operation(name="Solarize", apply=colour.solarize, parameters=_whole_threshold),
        Operation(name="SolarizeAdd", apply=colour.solarize_add, parameters=_addition),
        Operation(name="Color", apply=colour.colour, parameters=_timm_enhance),
        Operation(name="Contrast", apply=colour.contrast, parameters=_timm_enhance),
        Operation(name="Brightness", apply=colour.brightness, parameters=_timm_enhance),
        Operation(name="Sharpness", apply=colour.sharpness, parameters=_timm_enhance),
        *_shears(fill),
        *_translations(fill, most=0.45),
    )


def _shears(fill: tuple[int, ...]) -> tuple[Operation, ...]:
    factors = partial(_signed, most=0.3)
    return (
        Operation(name="ShearX", apply=partial(geometry.shear_x, fill=fill), parameters=factors),
        Operation(name="ShearY", apply=partial(geometry.shear_y, fill=fill), parameters=factors),
    )


def _translations(fill: tuple[int, ...], *, most: float) -> tuple[Operation, ...]:
    shares = partial(_signed, most=most)
    return (
        Operation(name="TranslateX", apply=partial(geometry.translate_x, fill=fill), parameters=shares),
        Operation(name="TranslateY", apply=partial(geometry.translate_y, fill=fill), parameters=shares),
    )


def _identity(images: Tensor, _parameters: Tensor) -> Tensor:
    return images


def _autocontrast(images: Tensor, _parameters: Tensor) -> Tensor:
    return colour.autocontrast(images)


def _equalize(images: Tensor, _parameters: Tensor) -> Tensor:
    return colour.equalize(images)


def _invert(images: Tensor, _parameters: Tensor) -> Tensor:
    return colour.invert(images)


def _none(levels: Tensor, _signs: Tensor) -> Tensor:
    return torch.zeros_like(levels)


def _signed(levels: Tensor, signs: Tensor, *, most: float) -> Tensor:
    return levels / FULL_LEVEL * most * signs


def _enhance(levels: Tensor, signs: Tensor, *, least: float, most: float) -> Tensor:
    return 1 + signs * (levels / FULL_LEVEL * (most - least) + least)


def _timm_enhance(levels: Tensor, signs: Tensor) -> Tensor:
    return (1 + signs * (levels / FULL_LEVEL * 0.9)).clamp(min=0.1)


def _more_bits(levels: Tensor, _signs: Tensor) -> Tensor:
    return (levels / FULL_LEVEL * 4 + 4).floor()


def _fewer_bits(levels: Tensor, _signs: Tensor) -> Tensor:
    return 4 - (levels / FULL_LEVEL * 4).floor()


def _threshold(levels: Tensor, _signs: Tensor) -> Tensor:
    return levels / FULL_LEVEL * -256 + 256


def _whole_threshold(levels: Tensor, _signs: Tensor) -> Tensor:
    return 256 - (levels / FULL_LEVEL * 256).floor()


def _addition(levels: Tensor, _signs: Tensor) -> Tensor:
    return (levels / FULL_LEVEL * 110).floor()
