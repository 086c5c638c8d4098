"""What the exported model predicts, by the program beside it, is what the backend predicts."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from support.coloured_shapes import SHAPES, shape_png
from support.known_labels import digit_png
from support.question_rig import EMPTY, MASK, PRESENT, QuestionRig, opened
from support.rig import Rig
from support.tiny_encoder import NAME, tiny_encoders
from typer.testing import CliRunner

from pt4al_backend import __version__, learning
from pt4al_backend.active_learning import export_model as exporting
from pt4al_backend.active_learning import fine_tune
from pt4al_backend.active_learning.export_model import FROM_IMAGENET, OWN, ExportedModel, export_model
from pt4al_backend.active_learning.segment import segment
from pt4al_backend.active_learning.tuning_trial import Trial
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.cli import app
from pt4al_backend.errors import PT4ALError
from pt4al_backend.learning import openvino_network
from pt4al_backend.learning.fine_tuning import TuningRecipe
from pt4al_backend.reports.onnx_files import save_onnx
from pt4al_backend.settings import METHODS

PARITY = 1e-4
Predict = Callable[[Path], NDArray[np.float32]]


@pytest.fixture(autouse=True, scope="module")
def _f32() -> Iterator[None]:
    """On processors with AMX, too: the file computes in f32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino_network, "_computes_bf16", lambda: False)
        yield


@pytest.fixture(scope="module", params=[NAME, None], ids=["pretrained", "own networks"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionRig]:
    """Three questions about shapes, twenty of which are labelled."""
    options: dict[str, Any] = {"encoder": request.param, "main_epochs": 4}
    with tiny_encoders(), opened(tmp_path_factory.mktemp("asked"), EMPTY, PRESENT, MASK, n=40, **options) as rig:
        rig.settle()
        rig.platform.answer(*range(1, 21))
        rig.settle()
        yield rig


def shown(directory: Path, n: int, png: Callable[[int], bytes] = shape_png) -> list[Path]:
    """The images of tasks 1 to n as files."""
    paths = [directory / f"{task}.png" for task in range(1, n + 1)]
    for index, path in enumerate(paths):
        path.write_bytes(png(index))
    return paths


def program(model: ExportedModel, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    """The example beside the model, as a module."""
    monkeypatch.setattr(sys, "argv", ["example"])
    predict: Predict = runpy.run_path(str(save_onnx(model.file, directory / "model.onnx")))["predict"]
    return predict


def about(model: ExportedModel) -> dict[str, str]:
    return dict(onnxruntime.InferenceSession(model.file).get_modelmeta().custom_metadata_map)


def test_single_and_multiple_choice(asked: QuestionRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with what `/predict` answers from."""
    ranking = asked.store.ranking(asked.id)
    assert ranking is not None
    arrays, questions = ranking
    images = shown(tmp_path, 40)
    for question, stored in zip(questions[:2], arrays.predictions, strict=False):
        predict = program(export_model(asked.workspace, question.name), tmp_path, monkeypatch)
        found = np.stack([predict(images[task - 1]) for task in arrays.task.tolist()])
        assert found.shape == (40, len(question.classes))
        if question.name == EMPTY.name:
            assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
            assert found.argmax(axis=1).tolist() == stored.chosen.tolist()
            assert np.abs(found.max(axis=1) - stored.probability).max() < PARITY
        else:
            assert (found > 0.5).astype(int).tolist() == stored.chosen.tolist()
            assert np.abs(np.maximum(found, 1 - found).mean(axis=1) - stored.probability).max() < PARITY


def test_segmentation(asked: QuestionRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pixel compared with the masks that are published.

    The logits of the project's own networks are rounded to float16 on the way there.
    """
    predict, workspace, project = (
        program(export_model(asked.workspace, MASK.name), tmp_path, monkeypatch),
        asked.workspace,
        asked.project,
    )
    images, pool = shown(tmp_path, 40), asked.store.pool(asked.project)
    files, side = workspace.networks.embeddings(project), learning.mask_side(project.image_size)
    ranked = exporting._pool(workspace, project)
    head = exporting.fit_probes(ranked, [MASK], workspace.probe_inputs(project))[MASK.name]
    task_of = dict(zip(pool.row.tolist(), pool.task.tolist(), strict=True))
    count = 0
    for rows, logits in segment(head, files, workspace.pixels(project), ranked.row, side=side, device="cpu"):
        for row, each in zip(rows.tolist(), logits.astype(np.float64), strict=True):
            exponentials = np.exp(each - each.max(axis=-1, keepdims=True))
            expected = exponentials / exponentials.sum(axis=-1, keepdims=True)
            found = predict(images[task_of[row] - 1])
            assert found.shape == (len(SHAPES) + 1, side, side)
            difference = np.abs(found - np.moveaxis(expected, -1, 0)).max()
            assert difference < (PARITY if project.encoder else 1e-3)
            pick = asked.picks.get(task_of[row])
            if pick and MASK.name in pick.predictions:
                shown_mask = pick.predictions[MASK.name]
                assert (found.argmax(axis=0) == shown_mask.value).mean() > 0.99
                assert found.max(axis=0).mean() == pytest.approx(shown_mask.probability, abs=1e-3)
                count += 1
    assert count


def test_the_program_predicts_from_the_command_line(asked: QuestionRig, tmp_path: Path) -> None:
    images = shown(tmp_path, 2)
    for question, classes in ((PRESENT, list(SHAPES)), (MASK, [*SHAPES, "background"])):
        example = save_onnx(export_model(asked.workspace, question.name).file, tmp_path / "model.onnx")
        done = subprocess.run(
            [sys.executable, str(example), *map(str, images)], capture_output=True, text=True, check=True, timeout=60
        )
        lines = done.stdout.splitlines()
        assert [line.split(" ")[0] for line in lines] == [str(path) for path in images]
        said = json.loads(lines[0].partition(" ")[2].replace("'", '"'))
        assert list(said) == classes and all(0 <= share <= 1 for share in said.values())


def test_the_file_says_what_it_is(asked: QuestionRig) -> None:
    model, project = export_model(asked.workspace, MASK.name), asked.project
    said = about(model)
    assert said == {
        "question": "mask",
        "label_type": "segmentation",
        "classes": json.dumps([*SHAPES, "background"]),
        "version": project.model_version,
        "labels": "20",
        "encoder": project.encoder or "main-1",
        "fine_tuned": "false",
        "input_side": "32",
        "licence": OWN
        if not project.encoder
        else "The licence of its weights is not known here: read it before you use them.",
        "project": "digits",
        "backend": f"pt4al-backend {__version__}",
    }
    assert (model.question, model.encoder, model.labels) == ("mask", said["encoder"], 20)
    assert model.licence == said["licence"]


def test_what_asks_no_platform_exports_the_same(asked: QuestionRig) -> None:
    """As the command does, in a process of its own."""
    reader = Workspace.to_read(asked.id, asked.store, asked.settings)
    assert about(export_model(reader, EMPTY.name)) == about(export_model(asked.workspace, EMPTY.name))


def test_the_command_writes_the_model_and_the_program(asked: QuestionRig, tmp_path: Path) -> None:
    """Into files that are there together, and says under which licence they are."""
    output = tmp_path / "shapes.onnx"
    arguments = ["export", "model", "--project", "1", "--output", output, "--question", "present"]
    done = CliRunner().invoke(app, [*map(str, arguments), "--data-dir", str(asked.settings.data_dir)])
    model = export_model(asked.workspace, PRESENT.name)
    assert done.exit_code == 0 and done.stdout.splitlines() == [
        f"The model that answers present with {model.encoder}, fitted on 20 labels: {output}",
        f"A program that predicts with it: {tmp_path / 'shapes_example.py'}",
        model.licence,
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"shapes.onnx", "shapes_example.py"}
    said = dict(onnxruntime.InferenceSession(output).get_modelmeta().custom_metadata_map)
    assert said == about(model)


def test_questions_are_chosen_by_name(asked: QuestionRig) -> None:
    with pytest.raises(PT4ALError, match="choose one with --question"):
        export_model(asked.workspace)
    with pytest.raises(PT4ALError, match="does not ask colour: it asks empty, present, mask"):
        export_model(asked.workspace, "colour")


@pytest.mark.parametrize("encoder", [NAME, None])
def test_nothing_is_exported_before_anything_was_learned(tmp_path: Path, encoder: str | None) -> None:
    with tiny_encoders(), opened(tmp_path, PRESENT, n=12, encoder=encoder) as rig:
        rig.sync()
        with pytest.raises(PT4ALError, match="Nothing has been learned yet"):
            export_model(rig.workspace)
        rig.settle()
        with pytest.raises(PT4ALError, match="No image with an answer to present is embedded yet"):
            export_model(rig.workspace)


def test_a_fine_tuned_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tune, "FEWEST", 20)
    monkeypatch.setattr(fine_tune, "FEWEST_PER_CLASS", 2)
    monkeypatch.setattr(TuningRecipe, "epochs_for", lambda recipe, images: 2)
    monkeypatch.setattr(Trial, "is_better", property(lambda trial: True))
    with tiny_encoders():
        rig = Rig(tmp_path, n=40, encoder=NAME, strategy="margin")
        rig.workspace.learns_pretext = False
        model = labelled(rig, 20)
        assert rig.project.tuned_generation and about(model)["fine_tuned"] == "true"
        assert (model.encoder, model.labels) == (NAME, 20)
        agrees(rig, model, tmp_path, monkeypatch)


def test_a_head_that_was_trained_with_its_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "fast", replace(METHODS["fast"], refits=False))
    rig = Rig(tmp_path, n=40)
    model = labelled(rig, 20)
    for task in (21, 22):
        rig.platform.label(task)
    rig.sync()
    assert export_model(rig.workspace).labels == rig.project.main_labels == 20
    agrees(rig, model, tmp_path, monkeypatch)


def labelled(rig: Rig, n: int) -> ExportedModel:
    """The model when tasks 1 to n are labelled."""
    rig.settle()
    for task in range(1, n + 1):
        rig.platform.label(task)
    rig.settle()
    return export_model(rig.workspace)


def agrees(rig: Rig, model: ExportedModel, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model predicts what `/predict` answers from, which ends here."""
    predict, images = program(model, directory, monkeypatch), shown(directory, rig.platform.n, digit_png)
    ranking = rig.store.ranking(rig.id)
    assert ranking is not None
    (stored,) = ranking[0].predictions
    found = np.stack([predict(images[task - 1]) for task in ranking[0].task.tolist()])
    known = np.isfinite(stored.probability)
    assert known.any() and found[known].argmax(axis=1).tolist() == stored.chosen[known].tolist()
    assert np.abs(found.max(axis=1) - stored.probability)[known].max() < PARITY
    rig.close()


def test_weights_that_a_training_began_with_are_named(asked: QuestionRig) -> None:
    if asked.project.encoder:
        return
    settings = asked.settings.model_copy(update={"init": "imagenet"})
    model = export_model(Workspace.to_read(asked.id, asked.store, settings), EMPTY.name)
    assert model.licence == FROM_IMAGENET


def test_a_directory_of_this_machine_is_nobody_elses_business() -> None:
    names = [
        "lite0",
        "/srv/weights/mine.safetensors",
        "resnet18@/srv/weights/mine.safetensors",
        "resnet18@x.safetensors",
    ]
    assert [exporting._without_directory(name) for name in names] == [
        "lite0",
        "mine.safetensors",
        "resnet18@mine.safetensors",
        "resnet18@x.safetensors",
    ]
