"""Images as features of a frozen network, for heads that are fitted in a moment; and what such a head says."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.learning.devices import computing
from pt4al_backend.learning.heads import upsampled
from pt4al_backend.learning.inputs import Pixels, normalised
from pt4al_backend.learning.linear_probe import Head
from pt4al_backend.learning.networks import Network, for_inference, mask_side, pixel_shape
from pt4al_backend.learning.recipes import images_per_step
from pt4al_backend.learning.types import Images, Weights

_LARGEST = torch.finfo(torch.float16).max
_GRID = 24
"""Cells to a side of the grid over an image in which refits of a segmentation see it."""

Half = npt.NDArray[np.float16]


def extract_features(
    weights: Weights, images: Images, rows: npt.NDArray[np.int64], *, device: str
) -> Generator[tuple[npt.NDArray[np.int64], Half, Half | None], None, None]:
    """The features of `rows`, a chunk at a time: (rows of the chunk, pooled, grid).

    `pooled`, float16 (chunk, D), are the averaged maps of the network's last three stages side by
    side: several layers of a rotation network tell more about classes than its last one. D is
    `feature_size(weights)`. `grid`, float16 (chunk, G, G, F), are the features of the image's
    pixels averaged in G x G cells: of dense networks, None of others. (G, F) is `grid_shape(weights)`.
    """
    shape = grid_shape(weights)
    for part, network, maps in _maps(weights, images, rows, device=device):
        with torch.inference_mode(), computing(device, half=False):
            pooled = _half(network.pooled(maps))
            if shape is None:
                grid = None
            else:
                grid = _half(F.adaptive_avg_pool2d(network.pixel_features(maps), shape[0]).permute(0, 2, 3, 1))
        yield part, pooled, grid


def grid_shape(weights: Weights) -> tuple[int, int] | None:
    """(G, F) of the grids of `extract_features`, None without."""
    if not weights.spec.get("dense"):
        return None
    side, features = pixel_shape(weights.spec)
    return min(side, _GRID), features


def segment(
    weights: Weights, head: Head, images: Images, rows: npt.NDArray[np.int64], *, device: str
) -> Generator[tuple[npt.NDArray[np.int64], Half], None, None]:
    """What a pixel head says of `rows`, a chunk at a time: (rows of the chunk, logits float16 (chunk, m, m, classes)).

    The head is one of `fit_pixel_head`, or the network's own by `network_head`; m is `mask_side`.
    """
    weight, bias = (torch.from_numpy(part).to(device) for part in (head.weight, head.bias))
    side = mask_side(images.size)
    for part, network, maps in _maps(weights, images, rows, device=device):
        with torch.inference_mode(), computing(device, half=False):
            coarse = F.conv2d(network.pixel_features(maps), weight.T[:, :, None, None], bias)
            logits = _half(upsampled(coarse, side).permute(0, 2, 3, 1))
        yield part, logits


def _maps(
    weights: Weights, images: Images, rows: npt.NDArray[np.int64], *, device: str
) -> Iterator[tuple[npt.NDArray[np.int64], Network, list[Tensor]]]:
    """The stages' maps of `rows`, a chunk at a time, and the network they are of."""
    network = for_inference(weights, device)
    chunk = images_per_step(weights.spec, device=device, inputs_per_image=1, training=False)
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        with torch.inference_mode(), computing(device, half=False):
            maps = network.backbone(normalised(Pixels(images, part, device)(np.arange(len(part)))))
        yield part, network, maps


def _half(values: Tensor) -> Half:
    return values.clamp(-_LARGEST, _LARGEST).half().contiguous().cpu().numpy()
