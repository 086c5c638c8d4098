"""How patch embeddings are stored: the maps of an encoder's stages, each at its own resolution.

A linear probe sees the stages enlarged to one resolution and concatenated. Stored like that they would take several
times the space, since the coarse maps of a convolutional network have most channels. Enlarging is linear, so a head
can be applied to each stage before its map is enlarged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.learning.heads import upsampled
from pt4al_backend.learning.linear_probe import Head

Half = npt.NDArray[np.float16]
Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PatchLayout:
    """The stages of an encoder that gives patch embeddings."""

    stages: tuple[tuple[int, int], ...]
    """Cells per side, and values per cell, of each stage; the finest first."""

    @classmethod
    def of(cls, maps: Sequence[Tensor], *, most: int) -> PatchLayout:
        """The layout of maps (n, c, s, s), the finest first, that have at most `most` cells per side when stored."""
        return cls(tuple((min(each.shape[-1], most), each.shape[1]) for each in maps))

    @property
    def side(self) -> int:
        """Cells per side G of the grid: those of the finest stage."""
        return self.stages[0][0]

    @property
    def channels(self) -> int:
        """Length F of a cell's patch embedding: the concatenation of all stages."""
        return sum(channels for _, channels in self.stages)

    @cached_property
    def size(self) -> int:
        """Stored values per image."""
        return sum(side * side * channels for side, channels in self.stages)

    def packed(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (n, c, s, s) of the stages as they are stored: (n, size), each the average of its cells."""
        averages = [F.adaptive_avg_pool2d(each, side) for each, (side, _) in zip(maps, self.stages, strict=True)]
        return torch.cat([each.permute(0, 2, 3, 1).flatten(1) for each in averages], dim=1)

    def logits(self, stored: Half, head: Head, *, side: int) -> npt.NDArray[np.float32]:
        """What a head on patch embeddings says of every cell of another grid.

        Args:
            stored: (n, size) of some images.
            head: takes F values.
            side: cells per side of that grid.

        Returns:
            (n, side, side, classes)
        """
        with torch.inference_mode():
            return head_on_maps(head, self._maps(stored), side=side).permute(0, 2, 3, 1).contiguous().numpy()

    def cells(self, stored: Half, positions: Positions) -> npt.NDArray[np.float32]:
        """Patch embeddings of some cells.

        Args:
            stored: (n, size) of some images.
            positions: (n, k) of cells in the grid, row by row from 0 to G * G - 1.

        Returns:
            (n, k, F)
        """
        y, x = np.divmod(positions, self.side)
        centres = (np.stack([x, y], axis=-1) + 0.5) / self.side * 2 - 1  # as grid_sample counts
        points = torch.from_numpy(centres[:, None].astype(np.float32))
        with torch.inference_mode():
            parts = [
                F.grid_sample(each, points, padding_mode="border", align_corners=False)[:, :, 0]
                for each in self._maps(stored)
            ]
            return torch.cat(parts, dim=1).transpose(1, 2).numpy()

    def sampled(
        self, stored: Half, shares: npt.NDArray[np.float32], most: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Some labelled cells of each image, drawn at random.

        Args:
            stored: (n, size) of some images.
            shares: (n, G, G, classes), as in `fit_pixel_head`.
            most: how many cells to draw of an image; those of an image with fewer labelled ones are all drawn.

        Returns:
            Patch embeddings (n, k, F) and shares (n, k, classes) of the drawn cells; k is at most `most`.
        """
        flat = shares.reshape(len(shares), self.side**2, -1)
        keys = np.random.default_rng(0).random(flat.shape[:2])
        drawn = np.sort(np.argsort(np.where(flat.any(axis=-1), keys, 1.0), axis=1)[:, :most], axis=1)
        return self.cells(stored, drawn), np.take_along_axis(flat, drawn[..., None], axis=1)

    def _maps(self, stored: Half) -> list[Tensor]:
        """(n, c, s, s) of each stage, float32."""
        ends = np.cumsum([side * side * channels for side, channels in self.stages])[:-1]
        parts = np.split(stored, ends, axis=1)
        shaped = [
            torch.from_numpy(part).reshape(len(part), side, side, channels)
            for part, (side, channels) in zip(parts, self.stages, strict=True)
        ]
        return [each.permute(0, 3, 1, 2).float() for each in shaped]


def head_on_maps(head: Head, maps: Sequence[Tensor], *, side: int) -> Tensor:
    """Logits (n, classes, side, side) of a head on the concatenated stages, given their maps (n, c, s, s)."""
    ends = np.cumsum([each.shape[1] for each in maps])[:-1]
    weights = (torch.from_numpy(part).to(maps[0].device) for part in np.split(head.weight, ends))
    bias: Tensor | None = torch.from_numpy(head.bias).to(maps[0].device)
    total: Tensor | None = None
    for each, weight in zip(maps, weights, strict=True):
        logits = upsampled(F.conv2d(each, weight.T[:, :, None, None], bias), side)
        total, bias = logits if total is None else total + logits, None  # enlarging changes no constant
    assert total is not None
    return total
