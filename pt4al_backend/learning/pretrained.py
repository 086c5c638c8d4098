"""ImageNet weights of ResNet-18 as an initialisation of the main task, from a file that the caller provides."""

from __future__ import annotations

from os import PathLike

from safetensors import SafetensorError
from safetensors.torch import load_file

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.networks import build, network_spec
from pt4al_backend.learning.types import Weights


def load_imagenet(path: str | PathLike[str]) -> Weights:
    """The weights in a safetensors file with torchvision's or timm's names, for images of any size.

    The classifier is dropped: the network has no heads.

    Raises:
        LearningError: there is no such file, or it is not a ResNet-18.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise LearningError(f"{path} cannot be read as a safetensors file ({error}).") from error
    spec = network_spec("resnet18", width=64, kernel=7, image_size=224, outputs=[])
    arrays = {}
    for name, expected in build(spec).backbone.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in tensors or tensors[name].shape != expected.shape:
            raise LearningError(
                f"{path} is not a ResNet-18: {name} is missing or has another shape. "
                "Use a safetensors file of torchvision's or timm's resnet18."
            )
        arrays[f"backbone.{name}"] = tensors[name].float().numpy()
    return Weights(arrays, spec)
