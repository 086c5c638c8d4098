"""Images as feature vectors of a frozen network, for heads that are fitted in a moment."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import numpy.typing as npt
import torch

from pt4al_backend.learning.devices import computing
from pt4al_backend.learning.inputs import Pixels, normalised
from pt4al_backend.learning.networks import for_inference
from pt4al_backend.learning.recipes import images_per_step
from pt4al_backend.learning.types import Images, Weights

_LARGEST = torch.finfo(torch.float16).max


def extract_features(
    weights: Weights, images: Images, rows: npt.NDArray[np.int64], *, device: str
) -> Generator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]], None, None]:
    """The features of `rows`, a chunk at a time: (rows of the chunk, float16 (chunk, D)).

    They are the averaged maps of the network's last three stages side by side: several layers
    of a rotation network tell more about classes than its last one. D is `feature_size(weights)`.
    """
    network = for_inference(weights, device)
    chunk = images_per_step(weights.spec, device=device, inputs_per_image=1, training=False)
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        with torch.inference_mode(), computing(device, half=False):
            inputs = normalised(Pixels(images, part, device)(np.arange(len(part))))
            features = torch.cat(network.pooled(inputs), dim=1).clamp(max=_LARGEST)
        yield part, features.half().cpu().numpy()
