"""The encoders by name: the project's own networks, and pretrained ones.

To add a family of encoders, write one module with a subclass of `Encoder` and a function that makes it, and add that
function to `ENCODERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.embedding import Encode, Encoder, grid_of
from pt4al_backend.learning.networks import embedding_size, for_inference, pixel_shape
from pt4al_backend.learning.recipes import images_per_step
from pt4al_backend.learning.timm_encoder import timm_encoder
from pt4al_backend.learning.types import Weights

Stored = Callable[[str], Weights]
"""Name of one of the project's networks -> its weights."""


@dataclass(frozen=True, kw_only=True)
class NetworkEncoder(Encoder):
    """One of the project's own networks.

    An image's embedding is the concatenation of the averaged maps of the last three stages: several layers of a
    rotation network tell more about classes than its last one. Dense networks also give patch embeddings.
    """

    spec: dict[str, Any]
    weights: Callable[[], Weights]
    """Reads the weights when they are needed, so that they do not stay in memory."""

    def load(self, device: str) -> Encode:
        network = for_inference(self.weights(), device)

        def encode(inputs: Tensor) -> tuple[Tensor, Tensor | None]:
            maps = network.backbone(inputs)
            return network.pooled(maps), None if self.grid is None else network.pixel_features(maps)

        return encode

    def images_per_step(self, device: str) -> int:
        return images_per_step(self.spec, device=device, inputs_per_image=1, training=False)


def network_encoder(weights: Weights, *, name: str = "network") -> NetworkEncoder:
    """A trained network as an encoder."""
    return _network_encoder(name, weights.spec, lambda: weights)


def _stored_network(name: str, stored: Stored, dense: bool) -> NetworkEncoder:
    return _network_encoder(name, stored(name).spec, lambda: stored(name))  # the spec tells whether it is dense


def _network_encoder(name: str, spec: dict[str, Any], weights: Callable[[], Weights]) -> NetworkEncoder:
    return NetworkEncoder(
        name=name,
        dimension=embedding_size(spec),
        grid=grid_of(*pixel_shape(spec)) if spec.get("dense") else None,
        input_size=spec["image_size"],
        spec=spec,
        weights=weights,
    )


ENCODERS: dict[str, Callable[[str, Stored, bool], Encoder]] = {
    "pretext-": _stored_network,
    "main-": _stored_network,
    "timm:": lambda name, stored, dense: timm_encoder(name, dense=dense),
}
"""Prefix of a name -> function (name, the project's networks, `dense`) that makes the encoder."""


def make_encoder(name: str, *, stored: Stored, dense: bool) -> Encoder:
    """The encoder of that name.

    Args:
        name: `timm:NAME` for any network of timm, or one of the project's own networks.
        stored: reads one of the project's own networks.
        dense: whether patch embeddings are needed.

    Raises:
        LearningError: there is no such encoder, or its weights or its library are missing.
    """
    for prefix, make in ENCODERS.items():
        if name.startswith(prefix):
            return make(name, stored, dense)
    raise LearningError(f"The encoder {name!r} is unknown: write timm: and the name of a network in timm.")
