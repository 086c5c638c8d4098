"""Draw the segmentations that people made and the model predicts."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.pool_predictions import PoolPredictions, Preview
from pt4al_backend.active_learning.segment import segment
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, region_question
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.platform import Drawing
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import UNKNOWN, drawn_masks
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project
from pt4al_backend.store.tasks import regions_digest

logger = logging.getLogger(__name__)


def draw_masks(workspace: Workspace) -> Job:
    """Draw the segmentations that people made, so that networks can learn from them."""
    project = workspace.project()
    todo = undrawn(workspace, project)
    for done, task in enumerate(todo):
        _draw(workspace, project, task)
        yield Progress((done + 1) / len(todo), f"drawing the regions of {done + 1} of {len(todo)} images")


def undrawn(workspace: Workspace, project: Project) -> list[int]:
    """Tasks in the pool whose segmentation people have made and nobody has drawn yet."""
    question, masks = region_question(project), workspace.masks(project)
    if question is None or masks is None:
        return []
    pool = workspace.store.pool(project)
    given = workspace.store.answers(project.id)
    answers = [given.get(task, {}) for task in pool.task.tolist()]
    drawn = drawn_masks(question, answers, pool.row, masks)
    return [
        task
        for task, answer, there in zip(pool.task.tolist(), answers, drawn.tolist(), strict=True)
        if question.name in answer and not there
    ]


def draw_a_few(workspace: Workspace, project: Project, *, most: int = 4) -> None:
    """Draw segmentations that have just been made if they are few, so that fitting probes need not wait for a job."""
    todo = undrawn(workspace, project)
    if len(todo) <= most:
        for task in todo:
            _draw(workspace, project, task)


def previews(
    workspace: Workspace, pool: PoolArrays, predictions: PoolPredictions, positions: NDArray[np.int64]
) -> list[Preview]:
    """Predict the images at these positions of the pool pixel by pixel, with the fitted probes."""
    project = workspace.project()
    tasks = pool.task[positions].tolist()
    sizes = workspace.store.sizes(project.id, tasks)
    found = [Preview({}, *sizes.get(task, (0, 0))) for task in tasks]
    pixels, files = workspace.pixels(project), workspace.networks.embeddings(project)
    for predicted in predictions.per_question:
        label_type = predicted.question.label_type
        if not label_type.dense:
            continue
        rows = predictions.rows[positions]
        place = {row: k for k, row in enumerate(rows.tolist())}
        side = learning.mask_side(project.image_size)
        for chunk, logits in segment(predicted.head, files, pixels, rows, side=side, device=workspace.device):
            for row, each in zip(chunk.tolist(), logits, strict=True):
                found[place[row]].predictions[predicted.question.name] = label_type.seen(each)
    return found


def _draw(workspace: Workspace, project: Project, task: int) -> None:
    question, masks = region_question(project), workspace.masks(project)
    regions = workspace.store.regions(project.id, [task]).get(task)
    row = int(workspace.store.reserve_rows(project.id, [task])[0])
    if question is None or masks is None or regions is None or row < 0:
        return  # the answer was deleted meanwhile
    size = workspace.store.sizes(project.id, [task])[task]
    drawing = _drawing(workspace, question, regions, side=masks.side, size=size)
    for note in drawing.notes:
        logger.warning("project %d, task %d: %s", project.number, task, note)
    workspace.store.note_drawing(project.id, task, drawing.notes)
    masks.write(row, regions_digest(regions), drawing.mask)


def _drawing(
    workspace: Workspace, question: Question, regions: list[dict[str, Any]], *, side: int, size: tuple[int, int]
) -> Drawing:
    """What people drew on one image. If that fails, the image teaches nothing; the others are still drawn."""
    try:
        return workspace.platform.drawing(question, regions, side=side, size=size)
    except PT4ALError:
        raise  # it is not this image's fault
    except Exception as error:
        logger.exception("regions cannot be drawn")
        note = f"Its regions cannot be drawn ({type(error).__name__}) and are ignored: make them again."
        return Drawing(np.full((side, side), UNKNOWN, dtype=np.uint8), (note,))
