"""How colours look: contrast as WCAG 2.2 defines it, and what protan and deutan eyes see of a difference."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float64]
"""Red, green and blue as sRGB, 0 to 1."""

EYES = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""On linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.0."""


def rgb(text: str) -> Colour:
    """A colour from `#rrggbb`, `#rgb` or `rgb(r, g, b)`."""
    if text.startswith("#"):
        digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
        return np.array([int(digits[place : place + 2], 16) for place in (0, 2, 4)]) / 255
    return np.array([float(number) for number in re.findall(r"[\d.]+", text)[:3]]) / 255


def linear(colour: Colour) -> Colour:
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def luminance(colour: Colour) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one: Colour, other: Colour) -> float:
    """From 1 to 21 (WCAG 2.2, contrast ratio)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def difference(one: Colour, other: Colour, eyes: str) -> float:
    """Distance in Oklab (Ottosson 2020), where black and white are 1 apart."""
    return float(np.linalg.norm(_oklab(one, eyes) - _oklab(other, eyes)))


def _oklab(colour: Colour, eyes: str) -> Colour:
    seen = np.clip(EYES[eyes] @ linear(colour), 0, 1)
    cones = np.cbrt(
        np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        )
        @ seen
    )
    return (
        np.array(
            [
                [0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660],
            ]
        )
        @ cones
    )
