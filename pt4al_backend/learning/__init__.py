"""Networks, the pretext task and the main task: PyTorch lives here and only here.

Long computations are generators that yield often and return their result, so that one process
can do other small work in between. All is determined by its seed.
"""

from pt4al_backend.learning.devices import describe_device, resolve_device
from pt4al_backend.learning.features import extract_features
from pt4al_backend.learning.head import Head, fit_head, network_head, out_of_fold
from pt4al_backend.learning.imagenet import load_imagenet
from pt4al_backend.learning.main_task import train_main
from pt4al_backend.learning.networks import feature_size
from pt4al_backend.learning.pretext import pretext_losses, train_pretext
from pt4al_backend.learning.recipes import MainRecipe, PretextRecipe, Recipe, choose_image_size, recipes
from pt4al_backend.learning.types import Arrays, Checkpoint, Images, LearningError, Progress, Weights

__all__ = [
    "Arrays",
    "Checkpoint",
    "Head",
    "Images",
    "LearningError",
    "MainRecipe",
    "PretextRecipe",
    "Progress",
    "Recipe",
    "Weights",
    "choose_image_size",
    "describe_device",
    "extract_features",
    "feature_size",
    "fit_head",
    "load_imagenet",
    "network_head",
    "out_of_fold",
    "pretext_losses",
    "recipes",
    "resolve_device",
    "train_main",
    "train_pretext",
]
