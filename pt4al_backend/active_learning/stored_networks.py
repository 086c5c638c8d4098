"""The networks of a project as they are stored, and the embeddings of its images by the encoder in use.

The network that is trained and the encoder in use are two things. The *newest network* is the one that was trained last
on the project's own images: the pretext network, then one main network after another. The *encoder in use* gives the
embeddings that linear probes are fitted on: a pretrained one if the project's row names one, as it is or fine-tuned,
else the newest network.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pt4al_backend import learning
from pt4al_backend.active_learning.embedding_files import EmbeddingFiles, adopt_old_names, file_names
from pt4al_backend.active_learning.training_data import output
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.store.checkpoints import load_arrays
from pt4al_backend.store.tables import Project

DOWNLOADS = "hub"


class StoredNetworks:
    """The networks of one project, by name: `pretext-2` is its second pretext network, `main-3` its third main.

    With a pretrained encoder, `pretext-2` is a rotation head on it. Of `tuned-4`, a fine-tuned encoder, only the last
    blocks are stored.
    """

    def __init__(self, project_id: int, models_dir: Path) -> None:
        self.downloads = models_dir.parent / DOWNLOADS
        """Where weights of pretrained encoders are kept, for all projects."""
        self._project_id = project_id
        self._dir = models_dir
        self._encoders: dict[tuple[str, int, bool], learning.Encoder] = {}
        self._heads: dict[str, list[tuple[Any, learning.Head]]] = {}  # of each network, by its question
        self._temperatures: dict[str, dict[str, float]] = {}  # of the fine-tuned encoder, by name of the question
        self._pretext_encoders: dict[str, str] = {}

        adopt_old_names(models_dir)

    @staticmethod
    def newest(project: Project) -> str:
        """Name of the network that was trained last."""
        if project.main_generation:
            return f"main-{project.main_generation}"
        return f"pretext-{project.pretext_generation}"

    def encoder_name(self, project: Project) -> str:
        """Name of the encoder in use."""
        return self.tuned(project) or project.encoder or self.newest(project)

    @staticmethod
    def tuned(project: Project) -> str:
        """Name of the fine-tuned encoder in use; "" if none is."""
        return f"{learning.TUNED}{project.tuned_generation}" if project.tuned_generation else ""

    def encoder(self, project: Project, name: str | None = None, *, input_size: int = 0) -> learning.Encoder:
        """The encoder in use, or another by name.

        Args:
            project: the project.
            name: one of the project's own networks, or a pretrained encoder; None: the one in use.
            input_size: side in pixels at which a pretrained one sees the images; 0: the usual one.
        """
        return self.make(*self._named(project, name, input_size), dense=project.dense)

    def embeddings(self, project: Project, name: str | None = None, *, input_size: int = 0) -> EmbeddingFiles:
        """The embeddings by the encoder in use, or by another; see `encoder`."""
        named, side = self._named(project, name, input_size)
        return EmbeddingFiles.of(self.make(named, side, dense=project.dense), self._dir, input_size=side)

    def _named(self, project: Project, name: str | None, input_size: int) -> tuple[str, int]:
        name = name or self.encoder_name(project)
        of_project = project.encoder and name in (project.encoder, self.encoder_name(project))
        return name, project.input_size if of_project else input_size

    def make(self, name: str, input_size: int = 0, *, dense: bool) -> learning.Encoder:
        """An encoder by name, as `encoder` does; `dense`: whether patch embeddings are needed."""
        known = self._encoders.get((name, input_size, dense))
        if known is None:
            known = learning.make_encoder(
                name, stored=self.weights, dense=dense, input_size=input_size, directory=self.downloads
            )
            self._encoders[name, known.input_size, dense] = self._encoders[name, input_size, dense] = known
        return known

    def path(self, name: str) -> Path:
        """A file in the project's directory of networks."""
        return self._dir / name

    def weights(self, name: str) -> learning.Weights:
        """A stored network."""
        loaded = load_arrays(self.path(f"{name}.safetensors"))
        if loaded is None:
            raise PT4ALError(
                f"The network {name} of project {self._project_id} is missing from the data directory: "
                "everything is trained again. The labels are in Label Studio."
            )
        return learning.Weights(*loaded)

    def pretext_encoder(self, project: Project) -> str:
        """Name of the encoder on which the pretext task was learned; "" if a network learned it, or nothing has yet."""
        if not project.pretext_generation:
            return ""
        name = f"pretext-{project.pretext_generation}"
        if name not in self._pretext_encoders:
            self._pretext_encoders = {name: learning.head_encoder(self.weights(name).spec)}
        return self._pretext_encoders[name]

    def heads(self, project: Project, name: str, *, background: bool) -> dict[str, learning.Head]:
        """Heads that were trained with a network, by name of the question, as far as the project still asks the same.

        With a pretrained encoder none were.
        """
        if project.encoder and name in (project.encoder, self.encoder_name(project)):
            return {}
        if name not in self._heads:
            weights = self.weights(name)
            asked = weights.spec.get("questions", [])  # a pretext network was asked nothing
            trained = weights.spec.get("answered", [True] * len(asked))  # without answers, a head is random
            self._heads[name] = [
                (question, learning.network_head(weights, k))
                for k, (question, answered) in enumerate(zip(asked, trained, strict=True))
                if answered
            ]
        given = {asks.name: output(asks, background=background).classes for asks in questions_of(project.questions)}
        return {
            asks["name"]: head
            for asks, head in self._heads[name]
            if asks in project.questions and len(head.bias) == given[asks["name"]]
        }

    def temperatures(self, project: Project) -> dict[str, float]:
        """Of probes on the embeddings of the fine-tuned encoder in use, by name of the question."""
        tuned = self.tuned(project)
        if tuned and tuned not in self._temperatures:
            self._temperatures = {tuned: self.weights(tuned).spec["temperatures"]}
        return self._temperatures[tuned] if tuned else {}

    def tidy(self, project: Project) -> None:
        """Delete superseded networks, unfinished trainings, and embeddings by encoders that are not in use.

        The encoder that is fine-tuned stays in use, and what its frozen blocks give.
        """
        self._pretext_encoders.clear()
        in_use = {self.encoder_name(project), project.encoder, f"{learning.FROZEN}{project.encoder}"}
        self._encoders = {key: encoder for key, encoder in self._encoders.items() if key[0] in in_use}
        current = {f"pretext-{project.pretext_generation}", f"main-{project.main_generation}", self.tuned(project)}
        others = [file_names(name, input_size=project.input_size) for name in in_use if project.encoder]
        self._delete_all_but({f"{name}.safetensors" for name in current} | set().union(*others), project)

    def delete_unused_embeddings(self, project: Project) -> None:
        """Delete embeddings by other encoders than the one in use."""
        self._delete_all_but({path.name for path in self._dir.glob("*.safetensors")}, project)

    def _delete_all_but(self, keep: set[str], project: Project) -> None:
        name, input_size = self._named(project, None, 0)
        keep |= set(file_names(name, input_size=input_size))
        for path in self._dir.iterdir() if self._dir.exists() else ():
            if path.name not in keep:
                path.unlink()

    def forget(self) -> None:
        """Delete all networks and all embeddings."""
        shutil.rmtree(self._dir, ignore_errors=True)
        self._encoders.clear()
        self._heads.clear()
        self._pretext_encoders.clear()
        self._temperatures.clear()
