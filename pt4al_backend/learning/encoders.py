"""The encoders by name: the project's own networks, the built-in one, and any network of timm.

To add one, or a family of them, write one module with a subclass of `Encoder` and a function that makes it, and add
that function to `ENCODERS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from pt4al_backend.encoder_catalogue import BUILT_IN
from pt4al_backend.errors import LearningError
from pt4al_backend.learning.built_in_weights import ARCHITECTURE, built_in_weights
from pt4al_backend.learning.embedding import Encode, Encoder, Maps
from pt4al_backend.learning.fine_tuning import frozen_blocks, tuned_encoder
from pt4al_backend.learning.inputs import normalised
from pt4al_backend.learning.networks import embedding_size, for_inference, pixel_shape
from pt4al_backend.learning.patch_layout import PatchLayout
from pt4al_backend.learning.recipes import images_per_step
from pt4al_backend.learning.timm_encoder import USUAL_SIZE, timm_encoder
from pt4al_backend.learning.types import Progress, Weights
from pt4al_backend.learning.weight_files import download, downloaded, read_tensors

DEFAULT_ENCODER = BUILT_IN
"""Name of the encoder that is always there."""
_MOST_CELLS = 24
"""Most cells per side that patch embeddings of the project's own networks are stored with."""
DENSE_SIZE = 384
"""Side in pixels at which images are segmented, if they are not small."""
TUNED, FROZEN = "tuned-", "frozen-"
"""Beginnings of names: a pretrained encoder after fine-tuning, `tuned-2`; the part of one that stays as it is,
`frozen-efficientnet_lite0`."""
_SUFFIX = ".safetensors"

Stored = Callable[[str], Weights]
"""Name of one of the project's networks -> its weights."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked of an encoder."""

    name: str
    stored: Stored
    """Reads one of the project's own networks."""
    dense: bool
    """Whether patch embeddings are needed."""
    input_size: int
    """Side of its inputs in pixels, as near as it can come; 0: its usual one."""
    directory: Path | None
    """Where downloaded weights are kept."""


@dataclass(frozen=True, kw_only=True)
class NetworkEncoder(Encoder):
    """One of the project's own networks.

    An image's embedding is the concatenation of the averaged maps of the last three stages: several layers of a
    rotation network tell more about classes than its last one. Dense networks also give patch embeddings.
    """

    pretrained = False
    spec: dict[str, Any]
    weights: Callable[[], Weights]
    """Reads the weights when they are needed, so that they do not stay in memory."""

    def load(self, device: str) -> Encode:
        network = for_inference(self.weights(), device).requires_grad_(False)

        def encode(pixels: Tensor) -> tuple[Tensor, Maps | None]:
            maps = network.backbone(normalised(pixels))
            return network.pooled(maps), None if self.patches is None else [network.pixel_features(maps)]

        return encode

    def images_per_step(self, device: str) -> int:
        return images_per_step(self.spec, device=device, inputs_per_image=1, training=False)


def network_encoder(weights: Weights, *, name: str = "network") -> NetworkEncoder:
    """A trained network as an encoder."""
    return _network_encoder(name, weights.spec, lambda: weights)


def _stored_network(wanted: Wanted) -> NetworkEncoder:
    name, stored = wanted.name, wanted.stored
    return _network_encoder(name, stored(name).spec, lambda: stored(name))  # the spec tells whether it is dense


def _network_encoder(name: str, spec: dict[str, Any], weights: Callable[[], Weights]) -> NetworkEncoder:
    side, width = pixel_shape(spec) if spec.get("dense") else (0, 0)
    return NetworkEncoder(
        name=name,
        dimension=embedding_size(spec),
        patches=PatchLayout(((min(side, _MOST_CELLS), width),)) if side else None,
        input_size=spec["image_size"],
        spec=spec,
        weights=weights,
    )


def _tuned(wanted: Wanted) -> Encoder:
    """A pretrained encoder whose last blocks were trained on the project's labels."""
    name, stored = wanted.name, wanted.stored
    return tuned_encoder(name, _other(wanted, stored(name).spec["encoder"]), lambda: stored(name).arrays)


def _frozen(wanted: Wanted) -> Encoder:
    """The blocks of a pretrained encoder that are not trained on labels."""
    return frozen_blocks(wanted.name, _other(wanted, wanted.name.removeprefix(FROZEN)))


def _other(wanted: Wanted, name: str) -> Encoder:
    return make_encoder(
        name, stored=wanted.stored, dense=wanted.dense, input_size=wanted.input_size, directory=wanted.directory
    )


_shared = lru_cache(maxsize=4)(timm_encoder)
"""Loads an encoder once for all projects of a process."""


def _built_in(wanted: Wanted) -> Encoder:
    return _shared(wanted.name, ARCHITECTURE, built_in_weights, dense=wanted.dense, input_size=wanted.input_size)


def _of_timm(wanted: Wanted) -> Encoder:
    """A network of timm with the weights in a file, or with those that timm publishes."""
    architecture, file = _file_of(wanted.name)
    path = file or downloaded(architecture, wanted.directory)
    if path is None:
        raise LearningError(f"The weights of {architecture} are not on this machine: download them first.")
    return timm_encoder(
        wanted.name, architecture, lambda: read_tensors(path), dense=wanted.dense, input_size=wanted.input_size
    )


ENCODERS: dict[str, Callable[[Wanted], Encoder]] = {
    "pretext-": _stored_network,
    "main-": _stored_network,
    TUNED: _tuned,
    FROZEN: _frozen,
    BUILT_IN: _built_in,
}
"""Name, or the beginning of names that ends with `-`, -> function that makes the encoder. All others are of timm."""


def make_encoder(
    name: str, *, stored: Stored, dense: bool, input_size: int = 0, directory: Path | None = None
) -> Encoder:
    """The encoder of that name. Nothing is downloaded.

    Args:
        name: one of `ENCODERS`; a name of timm; a safetensors file, `FILE` or `NETWORK@FILE`, where `FILE` alone has
            the name of a network of timm or lies beside timm's `config.json`.
        stored: reads one of the project's own networks.
        dense: whether patch embeddings are needed.
        input_size: side of its inputs in pixels, as near as the network can come; 0: its usual one.
        directory: where `fetch_encoder` keeps weights.

    Raises:
        LearningError: there is no such encoder, or its weights are missing or damaged.
    """
    wanted = Wanted(name=name, stored=stored, dense=dense, input_size=input_size, directory=directory)
    return _maker(name)(wanted)


def fetch_encoder(name: str, *, directory: Path, offline: bool) -> Generator[Progress, None, None]:
    """Download the weights of an encoder, if it needs some that are not on this machine.

    Args:
        name: as in `make_encoder`.
        directory: where they are kept.
        offline: whether nothing may be downloaded.

    Raises:
        LearningError: they cannot be had; the text says why.
    """
    if _maker(name) is _of_timm:
        architecture, file = _file_of(name)
        if file is None:
            yield from download(architecture, directory, offline=offline)


def _maker(name: str) -> Callable[[Wanted], Encoder]:
    for known, make in ENCODERS.items():
        if name == known or (known.endswith("-") and name.startswith(known)):
            return make
    return _of_timm


def _file_of(name: str) -> tuple[str, Path | None]:
    """The network in timm, and the file with its weights if the name says one."""
    if not name.endswith(_SUFFIX):
        return name, None
    before, at, after = name.partition("@")
    if at and "/" not in before:
        return before, Path(after).expanduser()
    path = Path(name).expanduser()
    try:
        return str(json.loads((path.parent / "config.json").read_text())["architecture"]), path
    except (OSError, ValueError, KeyError, TypeError):
        return path.name.removesuffix(_SUFFIX), path


def choose_input_size(name: str, median_side: int, *, device: str, dense: bool) -> int:
    """The side in pixels at which a pretrained encoder sees a pool; 0: its usual one, 224.

    The same for all: small images gain most from being enlarged (benchmarks/decisions/encoder_inputs.py). Pixels need
    more where images have more: poles and signs vanish at 224 (benchmarks/decisions/encoder_patches.py).

    Args:
        name: as in `make_encoder`.
        median_side: of the shorter sides of the pool's images, in pixels.
        device: `cpu`, `cuda` or `cuda:<n>`.
        dense: whether patch embeddings are needed.
    """
    return DENSE_SIZE if dense and median_side > USUAL_SIZE else 0
