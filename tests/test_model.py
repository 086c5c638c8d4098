"""PT4ALBackend called as SDK 1.0.9 and SDK 2.x call it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.filled_store import CONFIG, CREATED, add_ranked, reread, settings_in, webhook

from pt4al_backend.store.store import Store
from pt4al_backend.web.context import context, open_context
from pt4al_backend.web.sdk import load_sdk

NAMES = ("12", f"12.{CREATED}", f"12@{CREATED}")
TASKS = [{"id": 2, "project": 12}, {"id": 99, "project": 12}]
ANSWER = [("pt4al-r0-n0-p12", 0.002), ("pt4al-r0-n0-p12", 1.0)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_context(settings_in(tmp_path)).store
    yield store
    store.close()


@pytest.fixture
def model_class(store: Store):
    load_sdk(store.data_dir)
    from pt4al_backend.model import PT4ALBackend

    return PT4ALBackend


def short(predictions: list[dict]) -> list[tuple[str, float]]:
    return [(prediction["model_version"], prediction["score"]) for prediction in predictions]


def test_as_sdk_1_calls_it(model_class, store: Store) -> None:
    add_ranked(store)
    model = model_class(label_config=CONFIG, train_output={"any": 1}, hostname="http://ls", access_token="t")
    assert short(model.predict(TASKS, login=None, password=None, context=None)) == ANSWER
    assert model.train_output == {"any": 1}
    assert model.label_config == CONFIG
    assert "t" not in vars(model).values(), "tokens are kept in one place"


def test_as_sdk_2_calls_it(model_class, store: Store) -> None:
    add_ranked(store)
    for name in NAMES:
        model = model_class(project_id=name, label_config=CONFIG)
        assert short(model.predict(TASKS, context={"result": []}, login=None, password=None)) == ANSWER
        assert model.get("model_version") == "pt4al-r0-n0-p12"
    positional = model_class("12", label_config=CONFIG)
    assert positional.label_config == CONFIG


@pytest.mark.parametrize("event", ["ANNOTATION_CREATED", "START_TRAINING"])
def test_fit_with_every_signature(model_class, store: Store, event: str) -> None:
    project = add_ranked(store)
    data = webhook(event)
    del data["action"]
    model = model_class("12", label_config=CONFIG)
    calls = [
        lambda: model.fit((), event=event, data=data, job_id="1", workdir=None),  # 1.0.9
        lambda: model.fit(event, data),  # 2.x, in /webhook
        lambda: model.fit(event=event, data=data, job_id="1"),  # 2.x, in process_event
        lambda: model.process_event(event, data, "1", {}),  # either
    ]
    for call in calls:
        before = reread(store, project)
        assert call() == {"event": event, "project": 12, "woken": 1}
        after = reread(store, project)
        assert after.wake_at > before.wake_at
        assert (after.train_requested_at > before.train_requested_at) is (event == "START_TRAINING")


@pytest.mark.parametrize("data", [None, {}, {"project": None}, {"project": 5}, {"project": {"id": "x"}}])
def test_fit_without_a_project(model_class, store: Store, data: object) -> None:
    assert model_class().fit("START_TRAINING", data)["ignored"] == "The event names no project."
    assert "ignored" in model_class().fit("SOMETHING", data)


def test_the_version_is_never_stale(model_class, store: Store) -> None:
    model = model_class("12", label_config=CONFIG)
    assert model.get("model_version") == "pt4al-preparing"
    project = add_ranked(store)
    assert model.get("model_version") == "pt4al-r0-n0-p12"
    store.update(project.id, model_version="pt4al-r1-n20-abc")
    assert model.get("model_version") == "pt4al-r1-n20-abc"
    model.set("model_version", "0.0.1")
    assert model.get("model_version") == "pt4al-r1-n20-abc", "only the worker publishes"


def test_values_of_one_request(model_class, store: Store) -> None:
    model = model_class("12", label_config=CONFIG)
    assert model.has("model_version")
    assert not model.has("extra_params")
    assert model.get("extra_params") is None
    model.set("extra_params", "{}")
    assert (model.has("extra_params"), model.get("extra_params")) == (True, "{}")
    assert not model_class("12", label_config=CONFIG).has("extra_params")


@pytest.mark.parametrize("config", [None, "", "no xml", "<View><Image/></View>"])
def test_an_unparsable_config_is_no_error(model_class, store: Store, config: str | None) -> None:
    assert len(model_class("12", label_config=config).predict(TASKS)) == 2


@pytest.mark.parametrize("tasks", [[], [{"id": 1}], [{"id": 1, "project": "?"}], [{"id": 1, "project": 4711}]])
def test_tasks_of_no_known_project(model_class, store: Store, tasks: list[dict]) -> None:
    assert model_class().predict(tasks) == [
        {"result": [], "score": 1.0, "model_version": "pt4al-preparing"} for _ in tasks
    ]


def test_without_an_app_the_environment_says_where_the_store_is(
    store: Store, model_class, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pt4al_backend.web import context as module

    monkeypatch.setattr(module, "_current", None)
    monkeypatch.setenv("PT4AL_DATA_DIR", str(tmp_path / "other"))
    assert model_class("12").get("model_version") == "pt4al-preparing"
    assert context().store.data_dir == tmp_path / "other"
    context().store.close()
