"""A Galerkin neural operator: an image as a function that can be asked for at any place and any scale.

From Wei and Zhang, *Super-Resolution Neural Operator* (CVPR 2023), which NeurOp-Diff (arXiv 2501.09054,
3.1) guides its diffusion by. The integrals of its kernels are sums over places; they are values that are
handed in, so that a tile of a scene can be computed with the sums of the whole scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ultrares.nets.wavelet_residual import ResidualBlock, silence

NEIGHBOURS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Upper left, upper right, lower left and lower right of a place among pixel centres."""

PLACES = 8192
"""Places whose values a processor's cache holds while they are lifted or carried through a layer."""

SUMMED_PLACES = 2048
"""Places whose normalised keys and values, in single precision, it holds."""

NORM_EPS = 1e-5
"""What is added to a variance that may be zero, as torch's layer normalisation does."""


@dataclass(frozen=True)
class Queries:
    """Where an image is asked for: a grid of rows and columns, on the pixels of the image.

    Attributes:
        rows: Centres of the rows wanted, in pixels of the image from its upper edge, (H,); the centre of
            its first row is at 0.5.
        cols: Centres of the columns wanted, (W,).
        pitch: Distance of neighbouring rows and columns wanted, in pixels of the image; what the cell
            tells the operator.
    """

    rows: Tensor
    cols: Tensor
    pitch: tuple[float, float]


class ResidualEncoder(nn.Module):
    """EDSR's body without up-sampling or mean shift (Lim et al., 2017), told of the sensor if asked.

    Args:
        bands: Bands of the image.
        width: Channels.
        blocks: Residual blocks.
        slope: Of the leaky ReLU below zero; 0 is EDSR's own ReLU.
        told: Whether it is told the sensor's transfer at Nyquist and the depth of the cascade.
    """

    def __init__(self, bands: int, width: int, blocks: int, *, slope: float, told: bool) -> None:
        super().__init__()
        self.halo = 2 * blocks + 2
        self.stem = nn.Conv2d(bands, width, 3, padding=1)
        self.context = nn.Linear(2, width) if told else None
        self.trunk = nn.Sequential(*(ResidualBlock(width, slope) for _ in range(blocks)))
        self.neck = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, image: Tensor, context: Tensor) -> Tensor:
        """Features (B, width, h, w) of an image (B, C, h, w) in [0, 1], given (B, 2) or (1, 2) scalars."""
        features = self.stem(image - 0.5)
        if self.context is not None:
            features = features + self.context(context)[:, :, None, None]
        encoded: Tensor = features + self.neck(self.trunk(features))
        return encoded


class HeadNorm(nn.Module):
    """The weights of layer normalisation over the channels of each head, which has its own."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.heads = heads

    def affine(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of normalised channels, (heads, d) each, single precision."""
        return self.weight.view(self.heads, -1).float(), self.bias.view(self.heads, -1).float()


def normalised(centred: Tensor) -> Tensor:
    """Channels (..., d, N) whose mean is zero at each of N places, brought to unit variance there."""
    return centred * torch.rsqrt(centred.square().mean(dim=-2, keepdim=True) + NORM_EPS)


def by_places(values: Tensor, count: int = PLACES) -> tuple[Tensor, ...]:
    """Values (B, N, width) in parts of their places; in one on a GPU, which hides its memory better."""
    return torch.split(values, count, dim=1) if values.device.type == "cpu" else (values,)


class GalerkinBlock(nn.Module):
    """A kernel integral without softmax, (Q (K^T V)) / N, and a pointwise network (Cao, 2021).

    Args:
        width: Channels; a multiple of ``heads``.
        heads: Heads of the integral.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.key_norm = HeadNorm(width, heads)
        self.value_norm = HeadNorm(width, heads)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        silence(self.second)
        nn.init.normal_(self.second.weight, std=1e-2)

    def products(self, values: Tensor) -> Tensor:
        """The sum of K^T V over the places of ``values`` (B, N, width): (B, heads, d, d), single precision."""
        # A head's mean over its channels is a linear map of the values, too, and is taken off the weights instead of off
        # every place.
        maps, shifts = (
            rearrange(part, "(s h d) ... -> s h d (...)", s=2, h=self.heads).float()
            for part in (self.key_value.weight, self.key_value.bias)
        )
        maps, shifts = (part - part.mean(dim=2, keepdim=True) for part in (maps, shifts))
        centring = maps.flatten(0, 2).to(values.dtype), shifts[:, None]
        parts = [self._sums(part, *centring) for part in by_places(values, SUMMED_PLACES)]
        products, keys, sums = (torch.stack(each).sum(dim=0) for each in zip(*parts, strict=True))
        # What normalised keys k and values v are weighted by and shifted by is the same at all places:
        # sum (a k + b) (c v + d)^T = a (sum k v^T) c + a (sum k) d^T + b (c sum v)^T + N b d^T.
        (weight, bias), (value_weight, value_bias) = (
            self.key_norm.affine(),
            self.value_norm.affine(),
        )
        weighted = weight[..., None] * (
            products * value_weight[:, None] + keys[..., None] * value_bias[:, None]
        )
        shifted = sums * value_weight + values.shape[1] * value_bias
        return weighted + bias[..., None] * shifted[..., None, :]

    def _sums(self, values: Tensor, maps: Tensor, shifts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sums of k v^T (B, heads, d, d), k and v (B, heads, d) over places, k and v normalised.

        Args:
            values: Shape (B, N, width).
            maps: What makes centred keys, then values of them, (2 * width, width).
            shifts: What is added to these, (2, 1, heads, d, 1).
        """
        # Places come last, along which processors are fast: a head has but a few channels.
        centred = maps @ values.transpose(1, 2)
        heads = rearrange(centred, "b (s h d) n -> s b h d n", s=2, h=self.heads).float()
        with torch.autocast(values.device.type, enabled=False):
            both = normalised(heads + shifts)
            products = both[0] @ both[1].transpose(-1, -2)
            keys, sums = both.sum(dim=-1)
        return products, keys, sums

    def forward(self, values: Tensor, integral: Tensor) -> Tensor:
        """Carry ``values`` (B, N, width) through, given the mean of K^T V over all places (B or 1 of it)."""
        # Q and its product with the integral are one linear map of the values.
        weight = rearrange(self.query.weight, "(h d) c -> c h d", h=self.heads)
        onto = torch.einsum("chd,bhde->bche", weight.float(), integral.float()).flatten(2)
        offset = rearrange(self.query.bias, "(h d) -> h d", h=self.heads).float()
        shift = torch.einsum("hd,bhde->bhe", offset, integral.float()).flatten(1)
        mixed = values @ onto.to(values.dtype) + shift[:, None].to(values.dtype)
        hidden = F.gelu(self.first(mixed + values))
        carried: Tensor = self.second(hidden) + values
        return carried


@dataclass(frozen=True)
class OperatorSize:
    """The size of a :class:`NeuralOperator`; the defaults are the paper's.

    Attributes:
        bands: Bands of the image.
        features: Channels of the encoder.
        blocks: Residual blocks of the encoder.
        width: Channels of the operator; a multiple of ``heads``.
        heads: Heads of each integral.
        layers: Number of integrals.
        slope: Of the encoder's leaky ReLU.
        told: Whether the encoder is told sensor and depth.
        largest: The largest scale it is trained for; beyond it, the cell is that of this scale.
    """

    bands: int = 3
    features: int = 64
    blocks: int = 16
    width: int = 256
    heads: int = 16
    layers: int = 2
    slope: float = 0.0
    told: bool = False
    largest: float = 8.0


class NeuralOperator(nn.Module):
    """Enlarges an image to any grid: encode, lift to the places asked for, integrate, project.

    Args:
        size: Its size.
    """

    def __init__(self, size: OperatorSize) -> None:
        super().__init__()
        width, heads = size.width, size.heads
        assert width % heads == 0, f"{heads} heads do not divide {width} channels"
        self.bands, self.largest, self.width = size.bands, size.largest, width
        self.encoder = ResidualEncoder(
            size.bands, size.features, size.blocks, slope=size.slope, told=size.told
        )
        # Four neighbours with two coordinates each, and the cell.
        self.lifting = nn.Linear(4 * (size.features + 2) + 2, width)
        self.layers = nn.ModuleList(GalerkinBlock(width, heads) for _ in range(size.layers))
        self.first = nn.Linear(width, width)
        self.last = nn.Linear(width, size.bands)
        silence(self.last)
        # The neighbours of a place, one pixel beyond what its features depend on.
        self.halo = self.encoder.halo + 1

    def encode(self, image: Tensor, context: Tensor) -> Tensor:
        """Features (B, features, h, w) of an image (B, C, h, w) in [0, 1]."""
        encoded: Tensor = self.encoder(image, context)
        return encoded

    def lift(self, features: Tensor, queries: Queries) -> Tensor:
        """Values at the places asked for, row by row, (B, H * W, width).

        The features of the four nearest pixels are concatenated, each weighted by the area of the rectangle
        that the place spans with the pixel diagonally opposite, with its distance from the place in halves
        of a pixel.
        """
        if features.device.type != "cpu":
            return self._lift(features, queries)
        # Some rows at a time, which the processor's cache holds.
        count = max(1, PLACES // len(queries.cols))
        parts = (replace(queries, rows=rows) for rows in torch.split(queries.rows, count))
        return torch.cat([self._lift(features, part) for part in parts], dim=1)

    def _lift(self, features: Tensor, queries: Queries) -> Tensor:
        rows, cols = (
            _neighbours(places.to(features.device), size)
            for places, size in zip((queries.rows, queries.cols), features.shape[-2:], strict=True)
        )
        maps = features.permute(0, 2, 3, 1)
        distances, weighted = [], []
        for down, right in NEIGHBOURS:
            near = maps[:, rows.index[down]][:, :, cols.index[right]]
            area = rows.weight[down][:, None] * cols.weight[right]
            weighted.append(near * area[..., None].to(near.dtype))
            distances += [
                rows.distance[down][:, None].expand(area.shape),
                cols.distance[right].expand(area.shape),
            ]
        shape = (len(features), len(queries.rows), len(queries.cols), -1)
        cell = features.new_tensor([2 * max(p, 1 / self.largest) for p in queries.pitch])
        constant = torch.stack(distances, dim=-1).to(features.dtype)
        stacked = torch.cat([constant.expand(shape), *weighted, cell.expand(shape)], dim=-1)
        lifted: Tensor = self.lifting(stacked).flatten(1, 2)
        return lifted

    def project(self, values: Tensor, image: Tensor, queries: Queries) -> Tensor:
        """The enlarged image (B, C, H, W): what the values say on top of bilinear interpolation."""
        said = torch.cat([self.last(F.gelu(self.first(part))) for part in by_places(values)], dim=1)
        shape = (len(queries.rows), len(queries.cols))
        detail = rearrange(said, "b (h w) c -> b c h w", h=shape[0])
        return bilinear(image, queries) + detail.float()

    def carry(self, values: Tensor, integrals: Sequence[Tensor], *, passed: int = 0) -> Tensor:
        """Lifted values through as many layers as there are integrals; ``passed`` are behind them already."""
        onward = list(zip(self.layers, integrals, strict=False))[passed:]
        if not onward:
            return values
        carried = []
        for part in by_places(values):
            for layer, integral in onward:
                part = layer(part, integral)
            carried.append(part)
        return torch.cat(carried, dim=1)

    def products(self, values: Tensor, integrals: Sequence[Tensor], *, passed: int = 0) -> Tensor:
        """What lifted values add to the integral of the layer after those whose integrals are known."""
        layer = self.layers[len(integrals)]
        assert isinstance(layer, GalerkinBlock)
        return layer.products(self.carry(values, integrals, passed=passed))

    def integrals(self, values: Tensor, *, shared: bool = False) -> list[Tensor]:
        """The integrals of all layers over lifted values (B, N, width), (B, heads, d, d) each.

        Args:
            values: From :meth:`lift`.
            shared: Whether all images of the batch are one scene, whose places are averaged over.
        """
        found: list[Tensor] = []
        for _ in self.layers:
            mean = self.products(values, found) / values.shape[1]
            found.append(mean.mean(dim=0, keepdim=True) if shared else mean)
        return found

    def forward(
        self,
        image: Tensor,
        queries: Queries,
        context: Tensor,
        integrals: list[Tensor] | None = None,
        *,
        shared: bool = False,
    ) -> Tensor:
        """Return the image at the places asked for, (B, C, H, W).

        Args:
            image: Shape (B, C, h, w), in [0, 1].
            queries: The places.
            context: Sensor and depth, (B, 2) or (1, 2).
            integrals: Of the whole scene; None takes those over the places asked for.
            shared: See :meth:`integrals`.
        """
        values = self.lift(self.encode(image, context), queries)
        if integrals is None:
            integrals = self.integrals(values, shared=shared)
        return self.project(self.carry(values, integrals), image, queries)


@dataclass(frozen=True)
class _Neighbours:
    """Along one axis, for each place: its two pixels, how much each counts, and how far away they are."""

    index: tuple[Tensor, Tensor]
    weight: tuple[Tensor, Tensor]
    distance: tuple[Tensor, Tensor]


def _neighbours(places: Tensor, size: int) -> _Neighbours:
    """Beyond the outermost centres both neighbours are the outermost pixel, as at a mirror."""
    below = torch.floor(places - 0.5)
    share = (places - 0.5 - below).float()
    first = below.long()
    index = (first.clamp(0, size - 1), (first + 1).clamp(0, size - 1))
    # Weights are those of the opposite side's area: what is near counts more.
    return _Neighbours(index, (1 - share, share), (2 * share, 2 * share - 2))


def bilinear(image: Tensor, queries: Queries) -> Tensor:
    """An image (B, C, h, w) interpolated at the places asked for, clamped at its edge, (B, C, H, W)."""
    rows = _neighbours(queries.rows.to(image.device), image.shape[-2])
    cols = _neighbours(queries.cols.to(image.device), image.shape[-1])
    upper, lower = (
        image[:, :, index] * weight[:, None].to(image.dtype)
        for index, weight in zip(rows.index, rows.weight, strict=True)
    )
    tall = upper + lower
    left, right = (
        tall[..., index] * weight.to(image.dtype)
        for index, weight in zip(cols.index, cols.weight, strict=True)
    )
    return left + right
