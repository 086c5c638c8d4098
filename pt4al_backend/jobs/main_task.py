"""Draw masks, train the main network, and compute the features that refits work on."""

from __future__ import annotations

import logging
from collections.abc import Generator
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.errors import PT4ALError
from pt4al_backend.jobs.bench import Bench, Job, Step, backbone, follow, questions, segmentation, threads, tidy
from pt4al_backend.labelling.platform import Drawing
from pt4al_backend.labelling.questions import SEGMENTATION, Guess, Question
from pt4al_backend.net.download import download
from pt4al_backend.opinion import Opinion
from pt4al_backend.ranking import Preview, wanted_rows
from pt4al_backend.sampling.uncertainty import softmax
from pt4al_backend.store.checkpoints import save_arrays
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project
from pt4al_backend.store.tasks import regions_digest
from pt4al_backend.targets import answered, drawn_masks, output, targets

logger = logging.getLogger(__name__)


def train_main(bench: Bench) -> Job:
    """Train the main network on every label there is; it takes office once the features it needs are there."""
    project = bench.project()
    pool = bench.store.pool(project)
    pool_round = project.round
    labelled = np.flatnonzero(pool.labelled)
    rows = pool.row[labelled]
    given = bench.store.answers(project.id)
    answers = [given.get(task, {}) for task in pool.task[labelled].tolist()]
    masks, background = bench.masks(project), bench.background
    learnt = [targets(question, answers, rows, masks=masks, background=background) for question in questions(project)]
    pixels = bench.pixels(project)
    initial = yield from _initial_weights(bench, project)
    weights = yield from follow(
        learning.train_main(
            pixels,
            rows,
            [output(question, background=background) for question in questions(project)],
            learnt,
            recipe=bench.recipe(project, pool=len(pool)).main,
            init=initial,
            seed=bench.settings.seed + project.main_generation + 1,
            device=bench.device,
        ),
        f"training on {len(labelled)} labels",
        until=0.9,
    )
    generation = project.main_generation + 1
    name = f"main-{generation}"
    spec = weights.spec | {"questions": project.questions, "answered": [bool(answered(each).any()) for each in learnt]}
    for what in ("features", "grid"):
        bench.model_path(f"{what}-{name}.bin").unlink(missing_ok=True)  # left by a run that was killed
    save_arrays(bench.model_path(f"{name}.safetensors"), weights.arrays, spec)
    yield from _extract(
        bench, name, wanted_rows(bench.store.pool(project).in_batches(), project, bench.settings), since=0.9
    )
    bench.store.update(
        bench.project_id,
        main_generation=generation,
        main_labels=len(labelled),
        main_round=pool_round,
        main_requested_at=project.train_requested_at,
    )
    tidy(bench)


def draw_masks(bench: Bench) -> Job:
    """Draw the segmentations that people made, so that they can be learnt."""
    project = bench.project()
    todo = undrawn(bench, project)
    for done, task in enumerate(todo):
        _draw(bench, project, task)
        yield Step((done + 1) / len(todo), f"drawing the regions of {done + 1} of {len(todo)} images")


def undrawn(bench: Bench, project: Project) -> list[int]:
    """Tasks of images in the pool whose segmentation was answered and not drawn yet."""
    question, masks = segmentation(project), bench.masks(project)
    if question is None or masks is None:
        return []
    pool = bench.store.pool(project)
    given = bench.store.answers(project.id)
    answers = [given.get(task, {}) for task in pool.task.tolist()]
    drawn = drawn_masks(question, answers, pool.row, masks)
    return [
        task
        for task, answer, there in zip(pool.task.tolist(), answers, drawn.tolist(), strict=True)
        if question.name in answer and not there
    ]


def draw_a_few(bench: Bench, project: Project, *, most: int = 4) -> None:
    """Draw segmentations that have just been made, if they are few: a refit need not wait for a job then."""
    todo = undrawn(bench, project)
    if len(todo) <= most:
        for task in todo:
            _draw(bench, project, task)


def previews(bench: Bench, pool: PoolArrays, opinion: Opinion, positions: NDArray[np.int64]) -> list[Preview]:
    """What the refitted head sees on images at these positions of the pool, pixel by pixel."""
    project = bench.project()
    tasks = pool.task[positions].tolist()
    sizes = bench.store.sizes(project.id, tasks)
    found = [Preview({}, *sizes.get(task, (0, 0))) for task in tasks]
    pixels, weights = bench.pixels(project), bench.weights(backbone(project))
    for view in opinion.views:
        if view.question.kind != SEGMENTATION:
            continue
        rows = opinion.rows[positions]
        place = {row: k for k, row in enumerate(rows.tolist())}
        for chunk, logits in learning.segment(weights, view.head, pixels, rows, device=bench.device):
            shares = softmax(logits.reshape(-1, logits.shape[-1])).reshape(logits.shape)
            for row, share in zip(chunk.tolist(), shares, strict=True):
                mask = share.argmax(axis=-1).astype(np.uint8)
                found[place[row]].guesses[view.question.name] = Guess(mask, float(share.max(axis=-1).mean()))
    return found


def _draw(bench: Bench, project: Project, task: int) -> None:
    question, masks = segmentation(project), bench.masks(project)
    regions = bench.store.regions(project.id, [task]).get(task)
    row = int(bench.store.reserve_rows(project.id, [task])[0])
    if question is None or masks is None or regions is None or row < 0:
        return  # it was taken back meanwhile
    size = bench.store.sizes(project.id, [task])[task]
    drawing = _drawing(bench, question, regions, side=masks.side, size=size)
    for note in drawing.notes:
        logger.warning("project %d, task %d: %s", project.number, task, note)
    bench.store.note_drawing(project.id, task, drawing.notes)
    masks.write(row, regions_digest(regions), drawing.mask)


def _drawing(
    bench: Bench, question: Question, regions: list[dict[str, Any]], *, side: int, size: tuple[int, int]
) -> Drawing:
    """What people drew on one image; where that fails nothing is learnt of it, and the others go on."""
    try:
        return bench.platform.drawing(question, regions, side=side, size=size)
    except PT4ALError:
        raise  # it is not this image's fault
    except Exception as error:
        logger.exception("regions cannot be drawn")
        note = f"Its regions cannot be drawn ({type(error).__name__}), and are not learnt from; make them again."
        return Drawing(np.full((side, side), learning.IGNORE, dtype=np.uint8), (note,))


def _initial_weights(bench: Bench, project: Project) -> Generator[Step, None, learning.Weights | None]:
    init = bench.settings.method.init
    if init == "pretext":
        return bench.weights(f"pretext-{project.pretext_generation}")
    if init == "scratch":
        return None
    source = bench.settings.imagenet_weights
    path = Path(source).expanduser()
    if source.startswith("https://"):
        path = bench.store.data_dir / "models" / "imagenet.safetensors"
        with threads(1) as executor:
            fetched = executor.submit(download, source, path)
            while not fetched.done():
                with bench.unlocked():
                    wait([fetched], timeout=0.3)
                yield Step(0.0, "fetching ImageNet weights")
            fetched.result()
    return learning.load_imagenet(path)


def extract_features(bench: Bench, rows: NDArray[np.int64]) -> Job:
    """Compute features of the network in office for ``rows``."""
    yield from _extract(bench, backbone(bench.project()), rows)


def _extract(bench: Bench, name: str, rows: NDArray[np.int64], *, since: float = 0.0) -> Job:
    features, grid = bench.features(name), bench.grid(name)
    done = 0
    chunks = learning.extract_features(bench.weights(name), bench.pixels(bench.project()), rows, device=bench.device)
    for chunk, values, cells in chunks:
        features.write(chunk, values)
        if grid is not None and cells is not None:
            grid[0].write(chunk, cells.reshape(len(chunk), -1))
        done += len(chunk)
        yield Step(since + (1 - since) * done / len(rows), f"features of {done} of {len(rows)} images")
