"""From the bytes of one image file to the pixels that a network sees, on the CPU with Pillow.

Every image is decoded at full size and becomes RGB. What EXIF says about orientation is left aside, as timm and
torchvision do. Resizing is Pillow's bicubic, which the reference implementations train and test with.
"""

from __future__ import annotations

import io
import math
import random
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from trainers.data.images import Framing

_TRIES = 10
_ASPECTS = (3 / 4, 4 / 3)
"""Smallest and largest width / height of a random resized crop."""
_DECODE_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,  # Pillow's word for a broken PNG
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class BadImageError(Exception):
    """These bytes are no whole image; the message goes on from the name of their file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A part of an image, in pixels."""

    left: int
    top: int
    width: int
    height: int


def decode(content: bytes) -> Image.Image:
    """An image as RGB, of whatever kind it was: grey, palette, CMYK, with transparency, 16 bits per channel.

    Raises:
        BadImageError: The bytes are no image, or not all of one.
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.mode.startswith("I"):
                # 16 bits: Pillow would cut off what is above 255, which leaves white.
                grey = (np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
                return Image.fromarray(grey).convert("RGB")
            return picture.convert("RGB")
    except UnidentifiedImageError:
        raise BadImageError(f"is no image of a known kind ({len(content)} bytes)") from None
    except _DECODE_ERRORS as error:
        raise BadImageError(f"is no whole image: {error}") from error


def training_view(picture: Image.Image, framing: Framing, draws: random.Random) -> Image.Image:
    """A training image, `train_size` pixels square, cropped at random as the framing says.

    Raises:
        BadImageError: The image is too small for the crop's padding.
    """
    size = framing.train_size
    if framing.resized_crop_scale is not None:
        box = random_box(picture.width, picture.height, framing.resized_crop_scale, draws)
        return _cropped(picture, box).resize((size, size), Image.Resampling.BICUBIC)
    if framing.crop_padding:
        picture = _shifted(picture, framing.crop_padding, draws)
    return central_view(picture, size, 1.0)


def random_box(width: int, height: int, scale: tuple[float, float], draws: random.Random) -> Box:
    """The box of a random resized crop by torchvision's law.

    The share of the area is uniform in `scale`, the logarithm of width / height uniform between those of 3/4 and 4/3,
    the place uniform. A box that does not fit is drawn again, up to ten times; then the largest central box of an
    allowed aspect is taken.
    """
    for _ in range(_TRIES):
        area = width * height * draws.uniform(*scale)
        aspect = math.exp(draws.uniform(math.log(_ASPECTS[0]), math.log(_ASPECTS[1])))
        box_width, box_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top, left = draws.randint(0, height - box_height), draws.randint(0, width - box_width)
            return Box(left=left, top=top, width=box_width, height=box_height)
    box_width, box_height = width, height
    if width / height < _ASPECTS[0]:
        box_height = round(width / _ASPECTS[0])
    elif width / height > _ASPECTS[1]:
        box_width = round(height * _ASPECTS[1])
    return Box(left=(width - box_width) // 2, top=(height - box_height) // 2, width=box_width, height=box_height)


def central_view(picture: Image.Image, size: int, crop_ratio: float) -> Image.Image:
    """The shorter side resized to size / crop_ratio, rounded, then the central square of `size` pixels."""
    shorter = round(size / crop_ratio)
    width, height = picture.size
    longer = shorter * max(width, height) // min(width, height)
    new_size = (longer, shorter) if height <= width else (shorter, longer)
    if new_size != picture.size:
        picture = picture.resize(new_size, Image.Resampling.BICUBIC)
    left, top = round((new_size[0] - size) / 2), round((new_size[1] - size) / 2)
    return _cropped(picture, Box(left=left, top=top, width=size, height=size))


def _cropped(picture: Image.Image, box: Box) -> Image.Image:
    return picture.crop((box.left, box.top, box.left + box.width, box.top + box.height))


def _shifted(picture: Image.Image, padding: int, draws: random.Random) -> Image.Image:
    """The image, padded by reflection on each side and cropped at random back to its own size."""
    width, height = picture.size
    if padding >= min(width, height):
        raise BadImageError(f"is {width}x{height} px, too small for a crop with {padding} px of reflect padding")
    padded = np.pad(np.asarray(picture), ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
    top, left = draws.randint(0, 2 * padding), draws.randint(0, 2 * padding)
    return Image.fromarray(padded[top : top + height, left : left + width])
