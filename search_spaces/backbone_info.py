"""What is known of one backbone; a module of its own so that the catalogue's parts can share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ArgumentValue = float | int | bool | str | tuple[int, ...] | tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneInfo:
    """One network: where its class is and what it is built with.

    The builder gets `arguments` and, beside them, `num_classes`, and `in_chans` and `img_size` where
    `takes_channels` and `takes_image_size` say so.
    """

    name: str
    family: str
    builder: str
    """Import path, `package.module:callable`."""
    arguments: Mapping[str, ArgumentValue] = field(default_factory=dict)
    takes_channels: bool = True
    takes_image_size: bool = False
    image_sizes: tuple[int, ...] = ()
    """Square input sizes it accepts, in pixels; empty accepts any."""
    parameters: int | None = None
    """Parameters in its 1000-class ImageNet form, or None where it has no such form."""
    macs: int | None = None
    """Multiply-accumulates of one forward pass in that form."""
    input_size: int | None = None
    """Pixels of that form."""
    source: str = ""
