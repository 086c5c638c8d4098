"""Whether a fine-tuned encoder is better than the pretrained one: a cross-validation, which survives a kill.

Both are compared as they serve. The last blocks are trained on four fifths of the labels, linear probes are fitted on
the embeddings of the same images, and predict the last fifth; so do probes on the embeddings as they were.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.embed import embed_into
from pt4al_backend.active_learning.fit_probes import targets_of
from pt4al_backend.active_learning.training_data import answered, output
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, follow, questions
from pt4al_backend.labelling.questions import Question
from pt4al_backend.store.checkpoints import CheckpointFile
from pt4al_backend.store.tables import Project

MOST = 4000
"""So many labelled images take part at most, the last ones of the pool: each takes 40 kB of memory."""
HELD_OUT, LEAST_HELD_OUT = 500, 50
"""So many images that were left out say enough; with fewer than so many it is too early to give up."""
Half = NDArray[np.float16]


@dataclass(frozen=True)
class Trial:
    """Labelled images, and what is known so far, which is in the checkpoint."""

    encoder: learning.Encoder
    """As it is, not fine-tuned."""
    checkpoint: CheckpointFile
    settings: dict[str, Any]
    """What has to be the same for the trial to be continued."""
    seed: int
    device: str
    rows: NDArray[np.int64]
    """(n,) the images."""
    asked: tuple[Question, ...]
    targets: list[NDArray[np.integer]]
    """For each question, (n, ...) the labels, negative where there is none."""
    maps: learning.StoredMaps
    """What the frozen blocks give of the images."""
    vectors: Half
    """(n, D) their embeddings as they are."""
    of_pool: Half
    """(m, D) the same of some images of the pool."""
    right: NDArray[np.float64]
    """(n, 2) the share of an image's labels that the pretrained and the fine-tuned encoder predict; NaN: not known."""
    logits: list[NDArray[np.float32]]
    """For each question, (n, classes) by fine-tuned encoders that did not see the image; NaN: not known."""

    @property
    def is_better(self) -> bool:
        """Whether the fine-tuned encoder is better by more than a standard error."""
        better = self._differences()
        return bool(len(better) and better.mean() > _standard_error(better))

    @property
    def is_decided(self) -> bool:
        """Whether more folds would say little more."""
        better = self._differences()
        hopeless = len(better) >= LEAST_HELD_OUT and better.mean() + _standard_error(better) <= 0
        return len(better) >= HELD_OUT or bool(hopeless)

    @property
    def accuracies(self) -> tuple[float, float]:
        """Of the pretrained and of the fine-tuned encoder."""
        before, after = np.nanmean(self.right, axis=0).tolist()
        return before, after

    @property
    def temperatures(self) -> dict[str, float]:
        """By which to divide the logits of probes on the fine-tuned encoder's embeddings, by name of the question.

        The encoder has seen the labels that these probes are fitted and calibrated on, and makes them too sure.
        """
        found = {}
        for question, labels, logits in zip(self.asked, self.targets, self.logits, strict=True):
            known = answered(labels) & ~np.isnan(logits).any(axis=1)
            found[question.name] = learning.calibrated_temperature(logits[known], labels[known], _output(question))
        return found

    def cross_validate(self) -> Job:
        """Compare the encoders fold by fold, until it is decided."""
        fold = learning.folds(len(self.rows))
        for k in range(learning.FOLDS):
            out = fold == k
            if self.is_decided or not np.isnan(self.right[out]).all():
                continue
            what = f"trying to fine-tune the encoder, {k + 1} of {learning.FOLDS}"
            arrays = yield from self.tuned(~out, what, since=k / learning.FOLDS, until=(k + 1) / learning.FOLDS)
            vectors = []
            for part in learning.embed_maps(self.encoder, arrays, self.maps, device=self.device):
                vectors.append(part)
                yield Progress((k + 1) / learning.FOLDS, what)
            before, _ = self._held_out(self.vectors, self.of_pool, out)
            after, logits = self._held_out(np.concatenate(vectors), np.concatenate(vectors), out)
            self.right[out] = np.stack([before, after], axis=1)
            for kept, new in zip(self.logits, logits, strict=True):
                kept[out] = new
            self.save()

    def save(self) -> None:
        """Save what is known."""
        known = {f"logits.{k}": values for k, values in enumerate(self.logits)}
        self.checkpoint.save({"rows": self.rows, "right": self.right, **known}, self.settings)

    def tuned(
        self, members: NDArray[np.bool_], what: str, *, since: float, until: float
    ) -> Generator[Progress, None, learning.Arrays]:
        """Fine-tune the encoder on the images in `members` (n,)."""
        training = learning.fine_tune(
            self.encoder,
            self.maps[members],
            [labels[members] for labels in self.targets],
            [_output(question) for question in self.asked],
            seed=self.seed,
            device=self.device,
        )
        return (yield from follow(training, what, since=since, until=until))

    def _held_out(
        self, vectors: Half, of_pool: Half, out: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float32]]]:
        """What probes on the other images' `vectors` predict for those in `out` (n,).

        Returns:
            The share of each image's labels that is right, NaN without any; for each question the logits.
        """
        right = np.full((len(self.asked), int(out.sum())), np.nan)
        every: list[NDArray[np.float32]] = []
        for place, (question, labels) in enumerate(zip(self.asked, self.targets, strict=True)):
            train, shape = answered(labels) & ~out, _output(question)
            logits: NDArray[np.float32] = np.full((int(out.sum()), shape.classes), np.nan, np.float32)
            if train.any():
                logits = learning.fit_head(vectors[train], labels[train], shape, pool=of_pool).logits(vectors[out])
                same = learning.predicted_labels(logits, shape) == labels[out]
                right[place] = np.where(answered(labels[out]), same if same.ndim == 1 else same.mean(axis=1), np.nan)
            every.append(logits)
        asked = (~np.isnan(right)).sum(axis=0)
        shares: NDArray[np.float64] = np.nansum(right, axis=0) / np.where(asked > 0, asked, np.nan)
        return shares, every

    def _differences(self) -> NDArray[np.float64]:
        """(h,) how much better the fine-tuned encoder predicts each image that was left out so far."""
        each = self.right[:, 1] - self.right[:, 0]
        return each[~np.isnan(each)]


def begun(workspace: Workspace, project: Project) -> Generator[Progress, None, Trial]:
    """A new trial on all labelled images, or the one that was interrupted."""
    pool = workspace.store.pool(project)
    base = workspace.networks.embeddings(project, project.encoder)
    yield from embed_into(workspace, base, base.missing(pool.row))
    checkpoint, settings = _checkpoint(workspace, project), _settings_of(project)
    saved, meta = checkpoint.load() or ({}, {})
    members = np.flatnonzero(pool.training)[-MOST:]
    if meta == settings and np.isin(saved["rows"], pool.row[members]).all():
        members = members[np.isin(pool.row[members], saved["rows"])]
    else:
        saved = {}
        workspace.networks.path(f"{tuned_name(project)}.safetensors").unlink(missing_ok=True)
    rows, asked = pool.row[members], questions(project)
    inputs = workspace.probe_inputs(project, project.encoder)
    of_pool = inputs.of_pool(pool.row)
    assert of_pool is not None  # there are labels, and their images are embedded
    frozen = workspace.networks.embeddings(
        project, f"{learning.FROZEN}{project.encoder}", input_size=project.input_size
    )
    yield from embed_into(workspace, frozen, frozen.missing(rows))
    unknown = [np.full((len(rows), _output(question).classes), np.nan, np.float32) for question in asked]
    trial = Trial(
        base.encoder,
        checkpoint,
        settings,
        workspace.settings.seed,
        workspace.device,
        rows,
        asked,
        [np.asarray(targets_of(pool, question, inputs, members)) for question in asked],
        frozen.vectors.read(rows),
        base.vectors.read(rows),
        of_pool,
        saved.get("right", np.full((len(rows), 2), np.nan)),
        [saved.get(f"logits.{k}", values) for k, values in enumerate(unknown)],
    )
    trial.save()
    return trial


def is_tried(workspace: Workspace) -> bool:
    """Whether a trial has begun that may be continued."""
    return _checkpoint(workspace, workspace.project()).path.exists()


def invalidate_trial(workspace: Workspace) -> None:
    """Make an interrupted trial start again, because some of its images were replaced."""
    _checkpoint(workspace, workspace.project()).delete()


def tuned_name(project: Project) -> str:
    """Name of the encoder that the next trial may lead to."""
    return f"{learning.TUNED}{project.tuned_trials + 1}"


def _checkpoint(workspace: Workspace, project: Project) -> CheckpointFile:
    return CheckpointFile(workspace.networks.path(f"{tuned_name(project)}.checkpoint.safetensors"))


def _settings_of(project: Project) -> dict[str, Any]:
    """What has to be the same for a trial to be continued."""
    return {"questions": project.questions, "encoder": project.encoder, "input_size": project.input_size}


def _output(question: Question) -> learning.Output:
    return output(question, background=False)


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std() / np.sqrt(len(values)))
