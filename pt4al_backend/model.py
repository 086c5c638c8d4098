"""The model that label-studio-ml serves: the same class on SDK 1.0.9 and 2.x.

It does not train anything itself. `fit` leaves a wake-up for the worker; `predict` answers from the ranking that the
worker put into the store. Every request creates a new object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from label_studio_ml.model import LabelStudioMLBase

from pt4al_backend.store.tables import Project
from pt4al_backend.web import bodies, events, predictions, projects
from pt4al_backend.web.context import context as current
from pt4al_backend.web.projects import ProjectName
from pt4al_backend.web.refusals import remembering_trouble
from pt4al_backend.web.responses import Ignored, Prediction, Woken


class PT4ALBackend(LabelStudioMLBase):
    """One Label Studio project, as the SDK sees it.

    `project_id` is `"12"`, or `"12@1700000000"` with the time of the project's creation, which distinguishes the
    projects of several Label Studios.
    """

    TRAIN_EVENTS = bodies.TRAIN_EVENTS

    label_config: str = ""  # in 2.x a property that reads a cache, stale in all other processes (fact 26)

    def __init__(
        self,
        project_id: str | None = None,
        label_config: str | None = None,
        train_output: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.project_id = ""
        self._values: dict[str, Any] = {}
        # The SDK gets no config: its parsers raise on configs that /predict must still answer.
        super().__init__(label_config="")
        self.project_id = project_id or ""
        self.label_config = label_config or ""
        self.train_output = train_output or {}

    def use_label_config(self, label_config: str) -> None:
        """2.x: store the config unparsed."""
        self.label_config = label_config

    def get(self, key: str) -> Any:
        """2.x: `model_version` is the published version; other keys live as long as this object."""
        if key != "model_version":
            return self._values.get(key)
        with remembering_trouble():
            project = self._project()
        return (project.model_version if project is not None else "") or predictions.PREPARING

    def set(self, key: str, value: Any) -> None:
        """2.x: store a value in this object. Only the worker sets the published version."""
        self._values[key] = value

    def has(self, key: str) -> bool:
        """2.x: whether `get` finds a value."""
        return key == "model_version" or key in self._values

    def predict(self, tasks: Sequence[Mapping[str, Any]], context: Any = None, **params: Any) -> list[Prediction]:
        """Predict once per task: `{"result", "score", "model_version"}`; see `predictions.predict`."""
        with remembering_trouble():
            project = self._project() or self._project_of(tasks)
            if project is None:
                return [predictions.empty() for _ in tasks]
            return predictions.predict(current(), project, tasks, label_config=self.label_config)

    def fit(self, *args: Any, event: str = "", data: Mapping[str, Any] | None = None, **params: Any) -> Woken | Ignored:
        """Leave a wake-up for the worker and return at once.

        Called as `fit((), event=, data=, job_id=, workdir=)` by SDK 1.0.9, and as
        `fit(event, data)` or `fit(event=, data=)` by 2.x.
        """
        if args and isinstance(args[0], str):
            event, data = args[0], args[1] if len(args) > 1 else data
        with remembering_trouble():
            return events.take(current(), event, data or {})

    def _project(self) -> Project | None:
        if not self.project_id:
            return None
        return _newest(ProjectName.parse(self.project_id))

    def _project_of(self, tasks: Sequence[Mapping[str, Any]]) -> Project | None:
        """The project that the tasks name, if the request names none."""
        if self.project_id or not tasks:
            return None
        try:
            return _newest(ProjectName.parse(tasks[0].get("project")))
        except ValueError:
            return None


def _newest(name: ProjectName) -> Project | None:
    rows = projects.find(current().store, current().settings, name)
    return rows[0] if rows else None
