"""What a simulation has in its store between two rounds."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pt4al_backend import learning
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.store.checkpoints import load_arrays
from pt4al_backend.store.embedding_file import EmbeddingFile
from pt4al_backend.store.store import Store


@dataclass(frozen=True)
class Stored:
    """The store of a simulated project with one single-choice question."""

    data_dir: Path

    def read(self) -> tuple[list[int], dict[int, float], set[int]]:
        """The published tasks in order, the pretext loss of every task, the labelled tasks."""
        with closing(Store(self.data_dir)) as store:
            [project] = store.projects()
            pool = store.pool(project)
        losses = dict(zip(pool.task.tolist(), pool.loss.tolist(), strict=True))
        return list(project.published), losses, set(pool.task[pool.labelled].tolist())

    def model(self) -> tuple[learning.Weights, learning.Head, dict[int, float]]:
        """The network, the head refitted on all labels, and how uncertain that is of each task.

        Uncertainty is the paper's: one less the top probability of a softmax over L2-normalised logits.
        """
        with closing(Store(self.data_dir)) as store:
            [project] = store.projects()
            pool = store.pool(project)
            ranking = store.ranking(project.id)
            models = store.models_dir(project.id)
            answers = store.answers(project.id)
        assert ranking
        loaded = load_arrays(models / f"main-{project.main_generation}.safetensors")
        assert loaded
        weights = learning.Weights(*loaded)
        stored = EmbeddingFile(
            models / f"embeddings-main-{project.main_generation}.bin", width=learning.network_encoder(weights).dimension
        )
        [question] = questions_of(project.questions)
        labelled = pool.task[pool.labelled].tolist()
        targets = np.array([question.classes.index(answers[task]["class"]) for task in labelled])
        output = learning.Output("single", len(question.classes))
        head = learning.fit_head(stored.read(pool.row[pool.labelled]), targets, output)
        logits = head.logits(stored.read(pool.row)).astype(float)
        assert ranking[0].predictions[0].chosen.tolist() == logits.argmax(axis=1).tolist()  # as it is published
        unit = logits / np.linalg.norm(logits, axis=1, keepdims=True)
        top = (np.exp(unit) / np.exp(unit).sum(axis=1, keepdims=True)).max(axis=1)
        return weights, head, dict(zip(pool.task.tolist(), (1 - top).tolist(), strict=True))
