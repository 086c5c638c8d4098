"""Networks, the pretext task and the main task: the only package that imports PyTorch.

Long computations are generators that yield often and return their result, so that one process
can do other small work in between. The seed determines every result.
"""

from pt4al_backend.learning.devices import describe_device, resolve_device
from pt4al_backend.learning.embedding import Encode, Encoder
from pt4al_backend.learning.encoders import (
    DEFAULT_ENCODER,
    ENCODERS,
    choose_input_size,
    fetch_encoder,
    make_encoder,
    network_encoder,
)
from pt4al_backend.learning.linear_probe import Head, fit_head, fit_pixel_head, mask_shares, network_head, out_of_fold
from pt4al_backend.learning.main_task import train_main
from pt4al_backend.learning.networks import mask_side
from pt4al_backend.learning.pretext import pretext_losses, train_pretext
from pt4al_backend.learning.pretrained import load_imagenet
from pt4al_backend.learning.recipes import MainRecipe, PretextRecipe, Recipe, choose_image_size, recipes
from pt4al_backend.learning.types import (
    IGNORE,
    MULTIPLE,
    SEGMENTATION,
    SINGLE,
    Arrays,
    Checkpoint,
    Images,
    Masks,
    Output,
    Progress,
    Targets,
    Weights,
)

__all__ = [
    "DEFAULT_ENCODER",
    "ENCODERS",
    "IGNORE",
    "MULTIPLE",
    "SEGMENTATION",
    "SINGLE",
    "Arrays",
    "Checkpoint",
    "Encode",
    "Encoder",
    "Head",
    "Images",
    "MainRecipe",
    "Masks",
    "Output",
    "PretextRecipe",
    "Progress",
    "Recipe",
    "Targets",
    "Weights",
    "choose_image_size",
    "choose_input_size",
    "describe_device",
    "fetch_encoder",
    "fit_head",
    "fit_pixel_head",
    "load_imagenet",
    "make_encoder",
    "mask_shares",
    "mask_side",
    "network_encoder",
    "network_head",
    "out_of_fold",
    "pretext_losses",
    "recipes",
    "resolve_device",
    "train_main",
    "train_pretext",
]
