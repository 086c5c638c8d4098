"""Pretrained encoders: those that we recommend, and the licences of their weights.

The weights of a network may be under another licence than the code that computes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROTATION = "rotation"
"""What people call the encoder if it is the newest of the project's own networks."""
BUILT_IN = "efficientnet_lite0"
"""Name of the encoder that is installed with this package."""


@dataclass(frozen=True)
class Licence:
    """The licence of an encoder's weights."""

    name: str
    tag: str
    """As timm calls it."""
    commercial: bool
    """Whether the weights may be used for any purpose, commercial ones included."""
    note: str = ""
    """What else one has to know."""


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder that we recommend. Figures are those of whoever published it, with where they are from."""

    name: str
    parameters: float
    """Millions, with the classifier if one was published."""
    gmacs: float
    """Billions of multiplications for an image of `side` pixels."""
    side: int
    accuracy: str
    """On ImageNet, in per cent."""
    source: str
    good_for: str


_APACHE_ADDRESS = "https://www.apache.org/licenses/LICENSE-2.0"
_IMAGENET = "Trained on ImageNet, whose images are for research and education only; its publishers license the weights."
_APACHE = Licence("Apache-2.0", "apache-2.0", commercial=True)
_APACHE_IMAGENET = Licence("Apache-2.0", "apache-2.0", commercial=True, note=_IMAGENET)
_DINOV3 = Licence(
    "the DINOv3 License", "dinov3-license", commercial=True, note="It has terms of its own: read them first."
)
_BY_NC = Licence("CC BY-NC 4.0", "cc-by-nc-4.0", commercial=False)
_APPLE_RESEARCH = Licence("the Apple ML Research Model License", "apple-amlr", commercial=False)

FAMILIES: tuple[tuple[str, Licence], ...] = (
    (r"vit_\w+_dinov3(_qkvb)?\.(lvd1689m|sat493m)|convnext_\w+\.dinov3_\w+", _DINOV3),
    (r"vit_\w+_dinov2\.lvd142m", _APACHE),
    (r"vit_\w+_siglip_\w+\.(v2_)?webli", _APACHE),
    (r"\w+\.(apple_mclip\w*|mci\w*)", _APPLE_RESEARCH),
    (r"convnextv2_\w+(\.\w+)?", _BY_NC),
    (r"convnext_\w+\.(fb|in12k|d1|d2|a1|a2|a3)\w*", _APACHE_IMAGENET),
    (r"efficientnet_lite0|tf_efficientnet_lite\d(\.in1k)?", _APACHE_IMAGENET),
    (r"mobilenetv4_\w+(\.\w+)?", _APACHE_IMAGENET),
    (r"resnet(18|34|50|101|152)\.(a1|a2|a3|b1k|b2k|c1|c2|d|ra)\w*_in1k", _APACHE_IMAGENET),
    (r"vit_(tiny|small|base|large)_patch\d+_\d+\.augreg\w*", _APACHE_IMAGENET),
)
"""Names of encoders, as a regular expression -> the licence of their weights. The first that matches counts."""

_TIMM = "timm"
_DINOV2 = "DINOv2"
RECOMMENDED = (
    KnownEncoder(BUILT_IN, 4.7, 0.40, 224, "74.8", _TIMM, "every CPU; installed with this package"),
    KnownEncoder("tf_efficientnet_lite2.in1k", 6.1, 0.89, 260, "77.5", _TIMM, "a little more time"),
    KnownEncoder("mobilenetv4_conv_medium.e500_r256_in1k", 9.7, 1.10, 256, "79.9", _TIMM, "a little more time"),
    KnownEncoder("resnet50.a1_in1k", 25.6, 4.11, 224, "80.4", _TIMM, "comparisons"),
    KnownEncoder("vit_small_patch16_224.augreg_in21k_ft_in1k", 22.1, 4.61, 224, "81.4", _TIMM, "photographs"),
    KnownEncoder("convnext_tiny.in12k_ft_in1k", 28.6, 4.47, 224, "84.2", _TIMM, "photographs"),
    KnownEncoder("vit_small_patch14_reg4_dinov2.lvd142m", 22.1, 46.95, 518, "80.9, linear", _DINOV2, "most images"),
    KnownEncoder(
        "vit_base_patch14_reg4_dinov2.lvd142m", 86.6, 151.6, 518, "84.6, linear", _DINOV2, "most images, on a GPU"
    ),
    KnownEncoder(
        "vit_small_patch16_dinov3.lvd1689m", 21.6, 6.26, 256, "87.0, linear, ReaL labels", "DINOv3", "regions"
    ),
    KnownEncoder(
        "vit_base_patch16_siglip_256.v2_webli",
        92.9,
        23.4,
        256,
        "79.1, zero-shot",
        "SigLIP 2",
        "drawings, signs, products",
    ),
)
"""The most useful encoders, from the cheapest to the most expensive of each kind."""


def licence_of(encoder: str) -> Licence | None:
    """The licence of the weights of an encoder, None if it is not known here.

    Args:
        encoder: a name, or a file with or without the name of its network in front.
    """
    network = encoder.partition("@")[0]
    return next((licence for family, licence in FAMILIES if re.fullmatch(family, network)), None)


def about(encoder: str) -> tuple[bool, str]:
    """Whether an encoder may be used for any purpose, and a sentence about the licence of its weights."""
    licence = licence_of(encoder)
    if licence is None:
        return False, "The licence of its weights is not known here: read it before you use them."
    allowed = "" if licence.commercial else ", which forbids commercial use"
    return licence.commercial, " ".join(f"Its weights are under {licence.name}{allowed}. {licence.note}".split())


def licence_text(encoder: str) -> str:
    """The sentence about the licence of an encoder's weights, and the whole text of Apache-2.0.

    Whoever passes weights on has to pass the licence on. Of other licences we have no text.
    """
    licence, (_, sentence) = licence_of(encoder), about(encoder)
    return sentence if licence is None or licence.tag != "apache-2.0" else f"{sentence}\n\n{_apache()}"


def _apache() -> str:
    """The text of Apache-2.0, which is this package's licence, too."""
    try:
        installed = distribution("pt4al-backend")
    except PackageNotFoundError:
        return _APACHE_ADDRESS
    text = installed.read_text("licenses/LICENSE") or installed.read_text("LICENSE")
    checkout = Path(__file__).parents[1] / "LICENSE"
    return text or (checkout.read_text() if checkout.exists() else _APACHE_ADDRESS)
