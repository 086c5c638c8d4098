"""The base class of label types. A new one is a subclass in its own file, and a line in `label_types`.

Its head and its loss are in `learning`: a line in `OUTPUT_TYPES` under the same name.
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
"""An uncertainty measure: logits (n, classes) of mutually exclusive classes -> (n,)."""


class MaskStore(Protocol):
    """Stores the masks drawn from regions, by row."""

    @property
    def side(self) -> int:
        """Side of a mask in pixels."""

    def has(self, rows: NDArray[np.int64], digests: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) whether the mask in each row was drawn from the regions with this digest."""

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The masks (n, side, side) in these rows, all of which must have been drawn."""


@dataclass(frozen=True)
class Drawings:
    """The location of the masks of n images."""

    rows: NDArray[np.int64]
    """(n,) each image's row in `masks`."""
    masks: MaskStore | None
    """None if no question is answered with regions."""
    background: bool
    """Whether pixels outside all regions form a class."""


class Masks(Protocol):
    """Training targets of n images that are masks."""

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """(n,) whether each image has a mask."""

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Class numbers (k, side, side), `segmentation.UNKNOWN` for pixels to ignore."""


Targets = NDArray[Any] | Masks
"""Training targets of one question for n images: an array (n, ...), negative for unlabelled images; or masks."""


class LabelType(ABC):
    """A label type. It has no state: what differs between questions is in `Question`."""

    name: ClassVar[str]
    """The name in the database, in networks and in `learning.OUTPUT_TYPES`. Never changes."""
    title: ClassVar[str]
    """The name that people read."""
    dense: ClassVar[bool] = False
    """Whether labels are at pixel level: networks use finer maps, and linear probes the cells of a grid."""
    one_class: ClassVar[bool] = False
    """Whether an answer is one class."""
    has_regions: ClassVar[bool] = False
    """Whether its answers are lists of regions.

    The store replaces such an answer by a digest and keeps the regions separately. For training they are drawn as
    masks.
    """
    usual_uncertainty: ClassVar[str] = ""
    """The uncertainty measure that suits it best, regardless of the preset; "": the preset's."""
    metric: ClassVar[str] = ""
    """The metric in `figures` that curves show, by its name in `results.json`; "": it cannot be simulated."""
    metric_title: ClassVar[str] = ""
    """The metric's name that people read."""

    def output_names(self, question: Question, *, background: bool) -> tuple[str, ...]:
        """The class of each logit for a question. `background`: pixels outside all regions form a class."""
        return question.classes

    def outputs(self, question: Question, *, background: bool) -> int:
        """The number of logits for a question."""
        return len(self.output_names(question, background=background))

    @abstractmethod
    def targets(self, question: Question, answers: Sequence[Answers], drawings: Drawings) -> Targets:
        """The training targets of a question for n images.

        Args:
            question: the question.
            answers: n answers.
            drawings: the masks of those answers that are regions.
        """

    @abstractmethod
    def uncertainty(self, logits: Floats, measure: Measure) -> NDArray[np.float64]:
        """The uncertainty (n,) of logits (n, ..., outputs)."""

    @abstractmethod
    def errors(self, logits: Floats) -> NDArray[np.float64]:
        """Predicted probabilities minus the predicted label (n, outputs), given logits (n, ..., outputs).

        This is the gradient of the loss with respect to the logits, if the prediction were the label. Its length is
        about 1 if the model is uncertain.
        """

    # What people are told

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """(n, classes) the probability of each class, given logits (n, classes); of whole images only."""
        raise NotImplementedError(f"{self.title} is not measured on whole images.")

    def doubt(self, question: Question, logits: Floats) -> str:
        """What the model is unsure about in one image, as a phrase, given its logits (..., outputs); "": nothing."""
        return ""

    def counts(self, question: Question, answers: Sequence[Answers]) -> NDArray[np.int64] | None:
        """(classes,) how many answers name each class; None if answers do not name classes."""
        return None

    # Predictions that are stored for the whole pool

    def unpredicted(self, images: int, classes: int) -> NDArray[np.integer]:
        """An empty array for the results of `predicted`; (0,) if nothing is stored."""
        return np.zeros(0, np.uint8)

    def predicted(self, logits: Floats) -> tuple[NDArray[np.floating], NDArray[np.integer]] | None:
        """Probabilities (n,) and the predictions to store, given logits (n, outputs); None if nothing is stored."""
        return None

    def value(self, question: Question, stored: NDArray[np.integer]) -> Any:
        """The answer that one stored prediction stands for."""
        raise NotImplementedError(f"Predictions of {self.title} are not stored.")

    # Predictions that are computed for the window only

    def seen(self, logits: Floats) -> Prediction:
        """The prediction from one image's logits (m, m, outputs); only for dense types."""
        raise NotImplementedError(f"{self.title} is not predicted pixel by pixel.")

    # Simulations

    def figures(self, classes: int, results: Iterable[tuple[Any, Floats]]) -> dict[str, Any]:
        """Metrics of predictions, 0 to 1, by name; `by_class` may have some of each class, in a dict per class.

        Args:
            classes: number of classes.
            results: the true label and the logits of each image: (m, m, outputs) for dense types, else (outputs,).
        """
        raise NotImplementedError(f"{self.title} cannot be simulated.")
