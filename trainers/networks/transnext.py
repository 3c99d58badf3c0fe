"""TransNeXt (Shi 2023, arXiv 2311.17132): attention to near pixels and to a pooled map at once; no library has it.

Maps inside a stage have channels last: (batch, height, width, channels). Attention is in plain PyTorch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  torch's own name for it

from trainers.networks.initialisation import fan_out_normal
from trainers.networks.timm_models import DropPath, LayerNorm2d, drop_path_rates, trunc_normal_

TEMPERATURE = 1 / 0.24
"""What cosines are multiplied by at first."""


def initialise(module: nn.Module) -> None:
    """Draws the weights of one module: layers as in MogaNet, tokens and positions from cut normals."""
    fan_out_normal(module)
    if isinstance(module, QueryScale):
        trunc_normal_(module.embedding, std=0.02)
        nn.init.constant_(module.temperature, math.log(math.exp(TEMPERATURE) - 1))
    elif isinstance(module, AggregatedAttention):
        trunc_normal_(module.tokens, std=0.02)
        nn.init.zeros_(module.token_bias)
        trunc_normal_(module.local_bias, std=4e-4)


class QueryScale(nn.Module):
    """Readies unit queries for cosine attention: a learned query is added, then temperature and length scale them."""

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(heads, 1, head_width))
        self.temperature = nn.Parameter(torch.zeros(heads, 1, 1))

    def forward(self, queries: Tensor, log_keys: Tensor) -> Tensor:
        """Same shape, (batch, heads, queries, head width); `log_keys` is (queries, 1) or one number."""
        return (queries + self.embedding) * F.softplus(self.temperature) * log_keys


class PositionBias(nn.Module):
    """A number per head, query and key of a map pooled by `ratio`: an MLP of their distance, on a log scale.

    Args:
        heads: Heads.
        side: Side of the map of queries; the map of keys has side `side // ratio`.
        ratio: Pixels per key along a side.
    """

    index: Tensor
    distances: Tensor

    def __init__(self, heads: int, side: int, ratio: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, 512), nn.ReLU(), nn.Linear(512, heads))
        # Along an axis a query is at pixel q and a key in the middle of its pixels, k * ratio + (ratio - 1) / 2.
        # Distances repeat, so the MLP runs once for each of them: every integer q - k * ratio, made positive.
        furthest = side - ratio
        steps = torch.arange(side).view(-1, 1) - ratio * torch.arange(side // ratio) + furthest
        count = side + furthest
        index = steps.view(side, 1, -1, 1) * count + steps.view(1, side, 1, -1)
        axis = (torch.arange(count) - furthest - (ratio - 1) / 2) * 8 / max(side - 1, 1)
        axis = axis.sign() * (axis.abs() + 1).log2() / 3
        pairs = torch.stack([axis.view(-1, 1).expand(-1, count), axis.expand(count, -1)], dim=-1)
        self.register_buffer("index", index.reshape(side**2, -1), persistent=False)
        self.register_buffer("distances", pairs.reshape(-1, 2), persistent=False)

    def forward(self) -> Tensor:
        """Shape (heads, queries, keys)."""
        biases: Tensor = self.mlp(self.distances)
        return biases.T[:, self.index]


class Attention(nn.Module):
    """Cosine attention of every pixel to every pixel, for the last stage."""

    log_keys: Tensor

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.query_scale = QueryScale(heads, width // heads)
        self.position = PositionBias(heads, side, 1)
        self.project = nn.Linear(width, width)
        self.register_buffer("log_keys", torch.tensor(math.log(side**2)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        qkv = self.qkv(x).reshape(len(x), -1, 3, self.heads, x.shape[-1] // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q = self.query_scale(F.normalize(q, dim=-1), self.log_keys)
        weights = (q @ F.normalize(k, dim=-1).mT + self.position()).softmax(-1)
        y: Tensor = self.project((weights @ v).transpose(1, 2).reshape(x.shape))
        return y


class AggregatedAttention(nn.Module):
    """Cosine attention of every pixel to its window and to a pooled map, under one softmax.

    Weights of the window also get a part that depends on the query alone, from learned tokens.

    Args:
        width: Channels.
        heads: Heads.
        side: Side of the map.
        ratio: Side of the map over that of the pooled map.
        window: Side of the window; odd.
    """

    outside: Tensor
    log_keys: Tensor

    def __init__(self, width: int, heads: int, side: int, *, ratio: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.query_scale = QueryScale(heads, width // heads)
        self.pool = nn.Sequential(nn.Conv2d(width, width, 1), nn.GELU(), nn.AvgPool2d(ratio))
        self.pool_norm = nn.LayerNorm(width)
        self.position = PositionBias(heads, side, ratio)
        self.local_bias = nn.Parameter(torch.zeros(heads, 1, window**2))
        self.tokens = nn.Parameter(torch.zeros(heads, width // heads, window**2))
        self.token_bias = nn.Parameter(torch.zeros(heads, 1, window**2))
        self.project = nn.Linear(width, width)
        inside = self._windows(torch.ones(1, 1, side, side))[0].T
        self.register_buffer("outside", inside == 0, persistent=False)
        keys = inside.sum(1, keepdim=True) + (side // ratio) ** 2
        self.register_buffer("log_keys", keys.log(), persistent=False)

    def _windows(self, x: Tensor) -> Tensor:
        """From (batch, channels, side, side) to (batch, channels x window area, pixels), zero outside the map."""
        return F.unfold(x, self.window, padding=self.window // 2)

    def _by_head(self, x: Tensor) -> Tensor:
        """From (batch, tokens, channels) to (batch, heads, tokens, head width)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _near(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Unit keys and values in each pixel's window, (batch, heads, head width, window area, pixels)."""
        batch, side, _, width = x.shape
        keys, values = self.kv(x).chunk(2, dim=-1)
        keys = F.normalize(keys.reshape(batch, side, side, self.heads, -1), dim=-1).flatten(3)
        windows = self._windows(torch.cat([keys, values], dim=-1).permute(0, 3, 1, 2))
        windows = windows.reshape(batch, 2, self.heads, width // self.heads, self.window**2, side**2)
        return windows[:, 0], windows[:, 1]

    def _far(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Unit keys and values of the pooled map, (batch, heads, its pixels, head width)."""
        pooled = self.pool_norm(self.pool(x.permute(0, 3, 1, 2)).flatten(2).mT)
        keys, values = self.kv(pooled).chunk(2, dim=-1)
        return F.normalize(self._by_head(keys), dim=-1), self._by_head(values)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        near_keys, near_values = self._near(x)
        far_keys, far_values = self._far(x)
        queries = F.normalize(self._by_head(self.q(x.flatten(1, 2))), dim=-1)
        scaled = self.query_scale(queries, self.log_keys)
        near = torch.einsum("bhnd,bhdwn->bhnw", scaled, near_keys) + self.local_bias
        near = near.masked_fill(self.outside, -math.inf)
        far = scaled @ far_keys.mT + self.position()
        weights = torch.cat([near, far], dim=-1).softmax(-1)
        near, far = weights[..., : self.window**2], weights[..., self.window**2 :]
        near = near + queries @ self.tokens + self.token_bias
        y = torch.einsum("bhnw,bhdwn->bhnd", near, near_values) + far @ far_values
        projected: Tensor = self.project(y.transpose(1, 2).reshape(x.shape))
        return projected


class GatedMlp(nn.Module):
    """An MLP whose hidden channels are gated by a 3x3 depthwise convolution of a second projection."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 2 * hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.act = nn.GELU()
        self.contract = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        gates, values = self.expand(x).chunk(2, dim=-1)
        gates = self.act(self.depthwise(gates.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        y: Tensor = self.contract(gates * values)
        return y


class TransNeXtBlock(nn.Module):
    """Attention and gated MLP, each in a residual branch after LayerNorm."""

    def __init__(self, width: int, attention: nn.Module, *, mlp_ratio: int, drop_path: float) -> None:
        super().__init__()
        mlp = GatedMlp(width, 2 * width * mlp_ratio // 3)
        self.attention = nn.Sequential(nn.LayerNorm(width, eps=1e-6), attention, DropPath(drop_path))
        self.mlp = nn.Sequential(nn.LayerNorm(width, eps=1e-6), mlp, DropPath(drop_path))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        x = x + self.attention(x)
        return x + self.mlp(x)  # type: ignore[no-any-return]  # torch annotates calls of modules with Any


class Stage(nn.Module):
    """Halves the map if `halving` does, then blocks and a norm; takes and gives channels first."""

    def __init__(self, width: int, halving: nn.Module, blocks: list[TransNeXtBlock]) -> None:
        super().__init__()
        self.halving = halving
        self.blocks = nn.Sequential(*blocks, nn.LayerNorm(width, eps=1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, width, height, width in pixels)."""
        y: Tensor = self.blocks(self.halving(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return y


def _embedding(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
    return nn.Sequential(convolution, LayerNorm2d(outputs, eps=1e-5))


class TransNeXt(nn.Module):
    """Stem, four stages that start by halving the map (the first does not), mean over the map, linear head.

    The defaults are TransNeXt-Tiny. Weights are drawn by `initialise`, as published.

    Args:
        widths: Channels of the stages.
        depths: Blocks of the stages.
        heads: Attention heads, by stage.
        mlp_ratios: Hidden width of the MLP over that of the block, by stage, before the gate takes a third.
        pool_ratios: Side of the map over that of the pooled map, by stage; 1 is attention to every pixel.
        window: Side of the window of near pixels.
        img_size: Side of the images in pixels; a multiple of 32.
        drop_path_rate: Of the last block; it grows linearly from 0. Published: 0.25 for Tiny.
        num_classes: Outputs.
        in_chans: Channels of the images.

    Raises:
        ValueError: `img_size` is no multiple of 32.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (72, 144, 288, 576),
        depths: tuple[int, ...] = (2, 2, 15, 2),
        heads: tuple[int, ...] = (3, 6, 12, 24),
        mlp_ratios: tuple[int, ...] = (8, 8, 4, 4),
        pool_ratios: tuple[int, ...] = (8, 4, 2, 1),
        window: int = 3,
        img_size: int = 224,
        drop_path_rate: float = 0.0,
        num_classes: int = 1000,
        in_chans: int = 3,
    ) -> None:
        super().__init__()
        if img_size % 32:
            raise ValueError(f"TransNeXt takes images whose side is a multiple of 32 px; got {img_size} px")
        self.stem = _embedding(in_chans, widths[0], 7, 4)
        rates = drop_path_rates(drop_path_rate, depths)
        self.stages = nn.Sequential()
        for stage, (width, ratio) in enumerate(zip(widths, pool_ratios, strict=True)):
            side = img_size // (4 * 2**stage)
            blocks = []
            for rate in rates[stage]:
                attention = (
                    Attention(width, heads[stage], side)
                    if ratio == 1
                    else AggregatedAttention(width, heads[stage], side, ratio=ratio, window=window)
                )
                blocks.append(TransNeXtBlock(width, attention, mlp_ratio=mlp_ratios[stage], drop_path=rate))
            halving = _embedding(widths[stage - 1], width, 3, 2) if stage else nn.Identity()
            self.stages.append(Stage(width, halving, blocks))
        self.head = nn.Linear(widths[-1], num_classes)
        self.apply(initialise)

    def no_weight_decay(self) -> set[str]:
        """Parameters that weight decay leaves alone beside vectors, as published: what scales and places queries."""
        exempt = (".query_scale.", ".position.", ".local_bias")
        return {name for name, _ in self.named_parameters() if any(part in name for part in exempt)}

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (batch, classes), of images (batch, channels, height, width)."""
        logits: Tensor = self.head(self.stages(self.stem(x)).mean((2, 3)))
        return logits
