"""Makes label-studio-ml 1.0.9 behave like 2.x: a model per request, for the project that it names (fact 25)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from label_studio_ml.model import LabelStudioMLManager, ModelWrapper

from pt4al_backend.web.responses import Prediction, Taken, Training


class PerRequestManager(LabelStudioMLManager):
    """A manager without a model shared by all projects, a process per webhook, or a required order of requests."""

    @classmethod
    def fetch(
        cls, project: str | None = None, label_config: str | None = None, force_reload: bool = False, **kwargs: Any
    ) -> ModelWrapper:
        """The project's model and its published version."""
        model = cls.model_class(project, label_config=label_config)
        return ModelWrapper(model=model, model_version=model.get("model_version"))

    @classmethod
    def predict(
        cls,
        tasks: Sequence[Mapping[str, Any]],
        project: str | None = None,
        label_config: str | None = None,
        force_reload: bool = False,
        try_fetch: bool = True,
        **kwargs: Any,
    ) -> tuple[list[Prediction], ModelWrapper]:
        """`/predict`, also before `/setup`."""
        wrapper = cls.fetch(project, label_config)
        return wrapper.model.predict(tasks, **kwargs), wrapper

    @classmethod
    def webhook(cls, event: str, data: Mapping[str, Any]) -> Taken:
        """`/webhook`: calls `fit` within the request, also for START_TRAINING."""
        if event not in cls.model_class.TRAIN_EVENTS:
            return {"status": "Unknown event"}
        model = cls.model_class(str(data["project"]["id"]), label_config=data["project"]["label_config"])
        return {"result": model.fit((), event=event, data=data), "status": "ok"}

    @classmethod
    def is_training(cls, project: str | None) -> Training:
        """`/is_training`: always false, because nobody has to wait for training."""
        return {"is_training": False}
