"""What is known of one backbone; a module of its own so that the catalogue's parts can share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ArgumentValue = float | int | bool | str | tuple[int, ...] | tuple[str, ...] | None


class Initialisation(StrEnum):
    """By whose rules fresh weights are drawn; none are ever loaded."""

    TIMM = "timm"
    """Those of the class in timm that builds the network, its default where it has several: Kaiming normal of the
    fan-out for residual and mobile networks, truncated normal of deviation 0.02 for transformers and ConvNeXt, with
    the last norm of a residual branch (ResNet) and the classifier (Mixer) from 0. Stems changed for small images are
    drawn as the ones they replace."""
    TORCHVISION = "torchvision"
    """Those of torchvision's class: for AlexNet torch's own, uniform within 1/sqrt(fan-in)."""
    MOCO = "moco"
    """Those of MoCo v3's transformers, as timm's VisionTransformer has them under that name: Xavier uniform, for the
    classifier too, with queries, keys and values as three matrices, and biases of 0. Patch embedding: torch's own."""
    AUTHORS = "authors"
    """Those of the code that the network's authors released, written again beside the network."""
    OWN = "own"
    """Whatever the user's own function leaves in the network."""
    NONE = "none"
    """There are no weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneInfo:
    """One network: where its class is and what it is built with.

    The builder gets `arguments` and, beside them, `num_classes`, and `in_chans`, `img_size` and `drop_path_rate`
    where `takes_channels`, `takes_image_size` and `takes_drop_path` say so.
    """

    name: str
    family: str
    builder: str
    """Import path, `package.module:callable`."""
    arguments: Mapping[str, ArgumentValue] = field(default_factory=dict)
    takes_channels: bool = True
    takes_image_size: bool = False
    takes_drop_path: bool = False
    """Whether it has residual branches that a rate of stochastic depth drops; in others the rate does not act."""
    takes_mlp_dropout: bool = False
    """Whether it takes dropout within its MLPs, as `proj_drop_rate`."""
    image_sizes: tuple[int, ...] = ()
    """Square input sizes it accepts, in pixels; empty accepts any."""
    keeps_input_size: bool = False
    """Whether it sees images of `input_size` unless a spec names a size, also where it accepts the data set's own."""
    parameters: int | None = None
    """Parameters with 1000 classes, in its form for ImageNet where it has one; None where nobody counts them so."""
    macs: int | None = None
    """Multiply-accumulates of one forward pass in that form."""
    input_size: int | None = None
    """Pixels of that form."""
    initialisation: Initialisation = Initialisation.OWN
    source: str = ""
    source_sha256: str | None = None
    """Digest of the source of a user's own function; None for what comes with a recorded version."""
