"""What there is to say about a label type. A new one is a subclass in a file of its own, and a line in `label_types`.

What its networks are made of is in `learning`, by its name: a line in `OUTPUT_TYPES` there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.questions import Answers, Prediction, Question

Floats = NDArray[np.floating[Any]]
Measure = Callable[[Floats], NDArray[np.float64]]
"""An uncertainty measure: (n,) of logits (n, classes) that exclude one another."""


class MaskStore(Protocol):
    """Where answers that are regions have been drawn, by row."""

    @property
    def side(self) -> int:
        """Of a mask, in pixels."""

    def has(self, rows: NDArray[np.int64], digests: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) whether the mask of each row was drawn from the regions with this digest."""

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(n, side, side) of rows that have all been drawn."""


@dataclass(frozen=True)
class Drawings:
    """Where the drawn answers about n images are."""

    rows: NDArray[np.int64]
    """(n,) of `masks`."""
    masks: MaskStore | None
    """None where no question's answers are regions."""
    background: bool
    """Whether pixels outside all regions are a class of their own."""


class Masks(Protocol):
    """Answers that are drawn, of n images, as a network learns them."""

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """(n,) which of them are there."""

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Class numbers (k, side, side), `segmentation.UNKNOWN` where there is nothing to learn."""


Targets = NDArray[Any] | Masks
"""The answers to one question about n images, as a network learns them: an array (n, ...), negative where a question
was not answered; or masks."""


class LabelType(ABC):
    """One type of answer. It has no state: what differs from question to question is in `Question`."""

    name: ClassVar[str]
    """In the database, in networks and in `learning.OUTPUT_TYPES`. Never changes."""
    title: ClassVar[str]
    """What people read."""
    dense: ClassVar[bool] = False
    """Whether the parts of an image are told apart: it is learnt from finer maps, and asked of the cells of a grid."""
    has_regions: ClassVar[bool] = False
    """Whether its answers are lists of regions. The store keeps these apart, with their digest in their place, and they
    are drawn before they are learnt."""
    usual_uncertainty: ClassVar[str] = ""
    """The uncertainty measure that suits it best, whatever the preset; "": the preset's."""
    metric: ClassVar[str] = ""
    """The one of `figures` that curves show, by its name in `results.json`; "": it cannot be simulated."""
    metric_title: ClassVar[str] = ""
    """What people read there."""

    def outputs(self, question: Question, *, background: bool) -> int:
        """How many numbers a network gives for a question. `background`: pixels outside all regions are a class."""
        return len(question.classes)

    @abstractmethod
    def targets(self, question: Question, answers: Sequence[Answers], drawings: Drawings) -> Targets:
        """The answers (n of them) to a question; of those that are regions the `drawings`."""

    @abstractmethod
    def uncertainty(self, logits: Floats, measure: Measure) -> NDArray[np.float64]:
        """(n,) of logits (n, ..., outputs)."""

    @abstractmethod
    def errors(self, logits: Floats) -> NDArray[np.float64]:
        """What the logits (n, ..., outputs) predict, less the model's own answer: (n, outputs).

        The gradient of the loss of that answer with respect to the logits; about 1 long where the model is unsure.
        """

    # Predictions that are kept for the whole pool

    def unpredicted(self, images: int, classes: int) -> NDArray[np.integer]:
        """The array that `predicted` is kept in; (0,) where nothing is kept."""
        return np.zeros(0, np.uint8)

    def predicted(self, logits: Floats) -> tuple[NDArray[np.floating], NDArray[np.integer]] | None:
        """Probabilities (n,) and what is kept of logits (n, outputs); None where nothing is."""
        return None

    def value(self, question: Question, kept: NDArray[np.integer]) -> Any:
        """The answer that one entry of what `predicted` keeps stands for."""
        raise NotImplementedError(f"No predictions of {self.title} are kept.")

    # Predictions that are made for the window alone

    def seen(self, logits: Floats) -> Prediction:
        """The prediction of one image's logits (m, m, outputs). Of dense types."""
        raise NotImplementedError(f"{self.title} is not predicted pixel by pixel.")

    # Simulations

    def figures(self, classes: int, found: Iterable[tuple[Any, Floats]]) -> dict[str, float]:
        """How good predictions are, 0 to 1, given the truth about images and the logits of each.

        Of dense types the logits are (m, m, outputs), of others (outputs,).
        """
        raise NotImplementedError(f"{self.title} cannot be simulated.")
