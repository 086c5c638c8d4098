"""Images with known labels: what the demo shows and what simulations take their labels from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.labelling.segmentation import SEGMENTATION, UNKNOWN
from pt4al_backend.labelling.single import SINGLE


class KnownImages(Protocol):
    """`n` images with the answers to one question. Each label type has a class for it, here or in another module."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def read(self) -> Callable[[int], bytes]:
        """The image file at a position. Thread-safe. May raise `UnreadableImageError`."""

    @property
    def name(self) -> Callable[[int], str]:
        """What people know the image at a position by; "" where it has no name."""

    @property
    def digest(self) -> str:
        """Changes when the images or their labels change."""

    @property
    def question(self) -> Question:
        """What is asked about every image."""

    def __len__(self) -> int: ...

    def answers(self, position: int) -> Answers:
        """The labels of an image, as people would give them."""

    def truth(self, position: int) -> Any:
        """The label of an image in the form that `LabelType.figures` compares with logits."""

    def drawing(self, region: Mapping[str, Any], side: int) -> NDArray[np.uint8]:
        """A region of `answers`, drawn as in `platform.Drawing`: (side, side). Only for label types with regions."""

    def effort(self, positions: NDArray[np.int64]) -> dict[str, Any]:
        """How much the labels of the images at `positions` cover and cost, for `results.json`."""

    def take(self, positions: NDArray[np.integer]) -> KnownImages:
        """Only the images at `positions`, in that order."""

    def with_classes(self, classes: tuple[str, ...]) -> KnownImages:
        """The same images, with classes numbered as in `classes`. `PT4ALError` if that is impossible."""

    def split(self, share: float, *, seed: int) -> tuple[KnownImages, KnownImages]:
        """Two parts: the rest, and a share of about `share` of the images."""


@dataclass(frozen=True)
class LabelledImages:
    """`n` images, each of one class."""

    classes: tuple[str, ...]
    targets: NDArray[np.int64]
    """(n,) class numbers: positions in `classes`."""
    read: Callable[[int], bytes]
    """The image file at a position. Thread-safe. May raise `UnreadableImageError`."""
    files: str = ""
    """A digest of the files behind them, as far as they are known."""
    name: Callable[[int], str] = "image {}".format
    """What people know the image at a position by; "" where it has no name."""

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def digest(self) -> str:
        """Changes when the images or their labels change."""
        return digest_of(self.files, self.classes, self.targets.tolist())

    @property
    def question(self) -> Question:
        """What is asked about every image."""
        return Question("class", SINGLE, self.classes)

    def answers(self, position: int) -> Answers:
        """The class of an image."""
        return {"class": self.classes[self.targets[position]]}

    def truth(self, position: int) -> int:
        """The class number of an image."""
        return int(self.targets[position])

    def drawing(self, region: Mapping[str, Any], side: int) -> NDArray[np.uint8]:
        raise NotImplementedError("Single choice has no regions.")

    def effort(self, positions: NDArray[np.int64]) -> dict[str, Any]:
        """How many images each class has, and how many classes have any."""
        counts = np.bincount(self.targets[positions], minlength=len(self.classes))
        return {"classes_labelled": int((counts > 0).sum()), "labels_by_class": counts.tolist()}

    def take(self, positions: NDArray[np.integer]) -> LabelledImages:
        """Only the images at `positions`, in that order."""
        read, name = self.read, self.name
        return replace(
            self,
            targets=self.targets[positions],
            read=lambda position: read(int(positions[position])),
            name=lambda position: name(int(positions[position])),
            files=digest_of(self.files, positions.tolist()),
        )

    def with_classes(self, classes: tuple[str, ...]) -> LabelledImages:
        """The same images, with classes numbered as in `classes`.

        Raises:
            PT4ALError: an image has another class.
        """
        strange = sorted(set(self.classes) - set(classes))
        if strange:
            raise PT4ALError(
                f"The test images have classes that the training images do not have: {', '.join(strange[:5])}. "
                "Use the same directory names in both."
            )
        number = np.array([classes.index(name) for name in self.classes], dtype=np.int64)
        return replace(self, classes=classes, targets=number[self.targets])

    def split(self, share: float, *, seed: int) -> tuple[LabelledImages, LabelledImages]:
        """Two parts: the rest, and about `share` of each class (at least one image, if it has two)."""
        random = np.random.default_rng(seed)
        held_out = np.zeros(len(self), dtype=bool)
        for target in range(len(self.classes)):
            members = random.permutation(np.flatnonzero(self.targets == target))
            held_out[members[: min(max(1, round(share * len(members))), len(members) - 1)]] = True
        return self.take(np.flatnonzero(~held_out)), self.take(np.flatnonzero(held_out))


@dataclass(frozen=True)
class SegmentedImages:
    """`n` images, each with the class of every pixel."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    """(n,) names that distinguish the images."""
    read: Callable[[int], bytes]
    """The image file at a position. Thread-safe. May raise `UnreadableImageError`."""
    mask: Callable[[int], NDArray[np.uint8]]
    """The mask (height, width) at a position: class numbers; any other number is unknown. Thread-safe."""
    files: str = ""
    """A digest of the files behind them, as far as they are known."""
    name: Callable[[int], str] = "image {}".format
    """What people know the image at a position by; "" where it has no name."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def digest(self) -> str:
        """Changes when the images or their labels change."""
        return digest_of(self.files, self.classes, self.names)

    @property
    def question(self) -> Question:
        """What is asked about every image."""
        return Question("mask", SEGMENTATION, self.classes)

    def answers(self, position: int) -> Answers:
        """The labels of an image: one region, which `drawing` draws."""
        return {"mask": [{"image": position}]}

    def truth(self, position: int) -> NDArray[np.uint8]:
        """The mask."""
        return self.mask(position)

    def drawing(self, region: Mapping[str, Any], side: int) -> NDArray[np.uint8]:
        """The mask of the image that a region names."""
        mask = Image.fromarray(self.mask(region["image"])).resize((side, side), Image.Resampling.NEAREST)
        drawn = np.array(mask)
        drawn[drawn >= len(self.classes)] = UNKNOWN
        return drawn

    def effort(self, positions: NDArray[np.int64]) -> dict[str, Any]:
        """The number of labelled pixels, the length of the borders between classes, and the images' positions."""
        efforts = [mask_effort(self.mask(int(position)), classes=len(self.classes)) for position in positions]
        pixels, borders = np.sum(efforts, axis=0).tolist()
        return {"labelled_pixels": pixels, "border_length": borders, "images": positions.tolist()}

    def take(self, positions: NDArray[np.integer]) -> SegmentedImages:
        """Only the images at `positions`, in that order."""
        read, mask, name = self.read, self.mask, self.name
        return replace(
            self,
            names=tuple(self.names[position] for position in positions),
            read=lambda position: read(int(positions[position])),
            mask=lambda position: mask(int(positions[position])),
            name=lambda position: name(int(positions[position])),
            files=digest_of(self.files, positions.tolist()),
        )

    def with_classes(self, classes: tuple[str, ...]) -> SegmentedImages:
        """The same images. `PT4ALError` unless their classes are these."""
        if self.classes != classes:
            raise PT4ALError(
                "The test images have other classes than the training images: annotate both with the same labels; "
                "for masks, use one classes.txt."
            )
        return self

    def split(self, share: float, *, seed: int) -> tuple[SegmentedImages, SegmentedImages]:
        """Two parts: the rest, and about `share` of the images (at least one, if there are two)."""
        shuffled = np.random.default_rng(seed).permutation(len(self))
        first = min(max(1, round(share * len(self))), len(self) - 1)
        return self.take(np.sort(shuffled[first:])), self.take(np.sort(shuffled[:first]))


def mask_effort(mask: NDArray[np.uint8], *, classes: int) -> tuple[int, int]:
    """The work in a mask: the number of labelled pixels, and the length of the borders between classes in pixels."""
    labelled = mask < classes
    down = (mask[1:] != mask[:-1]) & labelled[1:] & labelled[:-1]
    across = (mask[:, 1:] != mask[:, :-1]) & labelled[:, 1:] & labelled[:, :-1]
    return int(labelled.sum()), int(down.sum() + across.sum())


def digest_of(*parts: Any) -> str:
    """A short digest of `parts` (any JSON)."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()
