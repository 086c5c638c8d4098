"""The active-learning loop of one project.

It keeps no list of jobs: it compares the current state with the wanted one and does the next missing thing, so no job
can get lost, run twice or run in the wrong order.

`sync` gets changes from the platform, `update_queue` does the quick things (fit probes, rank, publish), and `work` does
a slice of the slow ones (images, pretext task, training). The worker calls all three in turn, for every project, so
nothing quick waits for anything slow.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pt4al_backend.active_learning.assess import assess, assessment_due
from pt4al_backend.active_learning.choose_encoder import NOT_TUNED, adopt_encoder, change_encoder, serves, wants_change
from pt4al_backend.active_learning.draw_masks import draw_masks, undrawn
from pt4al_backend.active_learning.embed import embed
from pt4al_backend.active_learning.fetch_images import fetch_images, needs_other_images, start_over
from pt4al_backend.active_learning.find_duplicates import duplicates_due, find_duplicates
from pt4al_backend.active_learning.fine_tune import fine_tune, is_lost, tuning_due
from pt4al_backend.active_learning.newest_window import NewestWindow
from pt4al_backend.active_learning.place_images import arrange_images, arrangement_due, map_due, place_images
from pt4al_backend.active_learning.publish import Publisher
from pt4al_backend.active_learning.schedule import GROWN, chosen_strategy
from pt4al_backend.active_learning.sort_pool import (
    cut_as_wanted,
    is_under_way,
    pretext,
    pretext_is_of_another_encoder,
    recut,
    score_late_images,
)
from pt4al_backend.active_learning.sync import Sync
from pt4al_backend.active_learning.train_network import train_main
from pt4al_backend.active_learning.tuning_trial import is_tried
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace
from pt4al_backend.errors import LearningError, PT4ALError
from pt4al_backend.labelling.platform import LabellingPlatform
from pt4al_backend.store import tables
from pt4al_backend.store.store import PoolArrays, Totals
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

LABELLING = 60.0  # seconds after a change on the platform for which somebody is taken to be labelling
MEASURING = "measuring"  # what a job does that no stage is named after
AT_ONCE = 2000  # images to embed in one job when no ranking waits for them
FEW_LABELS = 10  # fewer new labels than this do not start another training within a round


@dataclass
class Current:
    """The current job and the stage that it is shown as."""

    stage: str
    job: Job
    part: bool = False
    """Whether another job does the rest; the pool is ranked only after that."""
    doing: str = ""
    """The stage that it would be if people had to wait for it."""
    online: bool = False
    """Whether it uses the platform."""
    pauses: bool = False
    """Whether it is paused when something changes, so that nothing waits for it."""
    situation: tuple[object, ...] = ()
    """The situation in which it was started or continued."""
    shown_at: float = 0.0
    """When its progress was last shown, by the monotonic clock."""


class ProjectLoop:
    """One project's loop. Not thread-safe: one worker drives it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._sync, self._publisher = Sync(workspace), Publisher(workspace)
        self._newest = NewestWindow(workspace)
        self._current: Current | None = None
        self._paused: Current | None = None
        self._changed_at = -math.inf  # when something changed on the platform, by the monotonic clock
        self._labelled_at = 0.0  # when a label came that no order knows yet, in unix seconds
        self._complete: tuple[object, ...] | None = None  # the situation in which nothing was missing
        self.last_stage = ""
        """The stage of the last job that was worked on."""
        self.shows_every = 0.5
        """Seconds after which the stage's progress is stored again."""
        self.failing = False
        """Whether the stage shows an error, until that is fixed."""

    @property
    def is_synced(self) -> bool:
        """Whether all tasks of the platform are in the store."""
        return self._sync.complete

    @property
    def has_more_to_sync(self) -> bool:
        """Whether the last sync left some changes for the next one."""
        return not self._sync.complete or self._sync.has_more

    @property
    def busy_with(self) -> str:
        """The stage of the current job, whether people wait for it or not; "" if there is none."""
        current = self._current
        return current.doing or current.stage if current else ""

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for an order: the first one of all images, or the next one while labels arrive."""
        first = self._current is not None and not self._newest.is_whole
        return first or time.monotonic() - self._changed_at < LABELLING

    def close(self) -> None:
        """Abandon the current job, and the paused one."""
        for each in (self._current, self._paused):
            if each:
                each.job.close()
        self._current = self._paused = None

    def reconnect(self, platform: LabellingPlatform) -> None:
        """Replace the platform and close the old one. Only what uses the platform is interrupted."""
        if self._current and self._current.online:
            self._current.job.close()
            self._current = None
        if self._paused and self._paused.online:
            self._paused.job.close()
            self._paused = None
        self._sync.interrupt()
        before, self.workspace.platform = self.workspace.platform, platform
        if before is not platform:
            before.close()

    # Changes on the platform

    def sync(self) -> bool:
        """Store the platform's changes, or a part of them.

        Returns:
            Whether anything changed.
        """
        result = self._sync.sync()
        if result.changed:
            self._changed_at = time.monotonic()
            self._note_label()
        if result.questions_changed:
            self.close()  # a training would use the old questions
        self._publisher.note(result.info)
        self._newest.stale |= result.reconfigured
        if not self.is_synced:
            total = result.info.tasks
            done = min(result.tasks, total)  # some are listed twice
            self._show(tables.IMAGES, Progress(done / max(total, 1), f"{done} of {total} tasks listed"))
        return result.changed

    def _note_label(self) -> None:
        """Remember when the label came that the next order is for."""
        project = self.workspace.project()
        if project.model_version and not self._labelled_at:  # before the first order, tasks are imported
            recent = time.time() - project.wake_at < LABELLING  # otherwise no webhook came
            self._labelled_at = project.wake_at if recent else time.time()

    # Quick things

    def update_queue(self) -> None:
        """Fit probes, rank the pool and publish the window, each if it is due; then delete superseded versions."""
        if not self.is_synced:
            return
        window = self._newest.choose()
        if window is not None and window.picks:
            self._publisher.publish(window)
            self._count_latency()
        self._publisher.sweep()

    def _count_latency(self) -> None:
        """Count how long the order took since the label that it is for, if it is the first one since."""
        if self._labelled_at:
            seconds, self._labelled_at = time.time() - self._labelled_at, 0.0
            self.workspace.store.add_latency(self.workspace.project_id, max(seconds, 0.0))

    # Slow things

    def work(self, seconds: float, *, is_interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Work on the next missing thing for so long, or until interrupted.

        It waits until all tasks are synced: some of them would be the wrong pool to train on.

        Returns:
            False if nothing is missing.
        """
        if not self.is_synced:
            return True
        if self._current is not None and self._current.pauses and self._current.situation != self._situation():
            if self._paused:
                self._paused.job.close()
            self._current, self._paused = None, self._current
        if self._current is None:
            situation = self._situation()
            if self._complete == situation:
                return False
            self._complete = None
            self._newest.look_again()
            self._current = self._next()
            if self._current is not None:
                self._current.situation = situation
            elif self._situation() == situation:  # otherwise something changed that `_next` may have missed
                self._complete = situation
        if self._current is None:
            return False
        current, self.last_stage = self._current, self._current.stage
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline and not is_interrupted():
                progress = next(current.job)
                if time.monotonic() - current.shown_at >= self.shows_every:
                    current.shown_at = time.monotonic()
                    self._show(current.stage, progress)
        except StopIteration:
            self._current = None
            self._newest.stale |= not current.part
        except BaseException:
            self._current = None
            raise
        return True

    def _situation(self) -> tuple[object, ...]:
        """Everything that decides what is missing: while it stays the same, `_next` need not run again."""
        project = self.workspace.project()
        return (
            project.labels_revision,
            project.questions,
            project.round,
            project.train_requested_at,
            project.encoder,
            project.pretext_generation,
            project.main_generation,
            project.model_version,
            project.stage,
            self.failing,
            wants_change(self.workspace, project),
        )

    def _next(self) -> Current | None:
        """The next missing thing, in the order in which things need each other."""
        workspace, project = self.workspace, self.workspace.project()
        if project.train_requested_at > project.retried_at:  # Start Training is also "try again"
            workspace.store.retry_unreadable(project.id)
            workspace.store.update(project.id, retried_at=project.train_requested_at)
        if needs_other_images(project):
            return Current(tables.IMAGES, start_over(workspace, "the questions have changed"))
        if workspace.has_lost_files(project):
            logger.warning("project %d: files of its images or networks are missing; starting again", project.number)
            return Current(tables.IMAGES, start_over(workspace, "files of images or networks are missing"))
        if is_lost(workspace, project):
            logger.warning(
                "project %d: its fine-tuned encoder is missing; the encoder serves as it was", project.number
            )
            workspace.store.update(project.id, **NOT_TUNED)
            project = workspace.project()
        if wants_change(workspace, project) and project.image_size and not serves(project):
            return Current(tables.IMAGES, adopt_encoder(workspace))
        totals = workspace.store.totals(workspace.project_id)
        if totals.waiting:
            return Current(tables.IMAGES, fetch_images(workspace), online=True)
        if not totals.pool:
            self._rest(tables.WAITING, "for images")
            if totals.unreadable:
                raise PT4ALError(self._nothing_readable())
            return None
        following = self._next_with_pretrained if project.encoder else self._next_with_own
        return following(project, totals, workspace.store.pool(project))

    def _next_with_own(self, project: Project, totals: Totals, pool: PoolArrays) -> Current | None:
        """What is missing while the project's own networks embed its images."""
        workspace = self.workspace
        stage = tables.READY_STAGE if project.model_version else tables.PRETEXT
        if wants_change(workspace, project):
            return Current(stage, change_encoder(workspace), part=True, doing=tables.IMAGES, online=True)
        if following := self._next_of_pretext(project, totals, pool, tables.PRETEXT):
            return following
        missing = self._newest.missing(project, pool)
        if len(missing):
            return Current(stage, embed(workspace, missing))
        if undrawn(workspace, project):
            return Current(stage, draw_masks(workspace))
        if assessment_due(workspace, project, int(pool.labelled.sum())):
            return Current(stage, assess(workspace), part=True, doing=MEASURING)
        labelled = int(pool.training.sum())
        if self._training_due(project, labelled):
            return Current(tables.TRAINING, train_main(workspace))
        rest = (
            workspace.networks.embeddings(project).missing(pool.row) if labelled and not project.dense else pool.row[:0]
        )
        if len(rest):
            return Current(tables.READY_STAGE, embed(workspace, rest[:AT_ONCE]), part=len(rest) > AT_ONCE)
        self._at_rest(project)
        return None

    def _next_with_pretrained(self, project: Project, totals: Totals, pool: PoolArrays) -> Current | None:
        """What is missing with a pretrained encoder: embeddings, and then what nobody waits for."""
        workspace, changes = self.workspace, wants_change(self.workspace, project)
        stage = tables.READY_STAGE if project.model_version else tables.IMAGES
        try:
            missing = self._newest.missing(project, pool)
        except LearningError:  # the encoder in use cannot be had any more
            return Current(stage, adopt_encoder(workspace))
        if len(missing):
            part = len(missing) > AT_ONCE
            return Current(stage, embed(workspace, missing[:AT_ONCE]), part=part, doing=tables.IMAGES, online=True)
        if undrawn(workspace, project):
            return Current(stage, draw_masks(workspace))
        if project.model_version and duplicates_due(workspace, project, pool):
            return Current(stage, find_duplicates(workspace), doing=MEASURING, online=True)
        if project.model_version and assessment_due(workspace, project, int(pool.labelled.sum())):
            return Current(stage, assess(workspace), part=True, doing=MEASURING)
        if project.model_version and map_due(workspace, project, pool):
            return Current(stage, place_images(workspace), part=True, doing=MEASURING)
        if changes and workspace.encoder:
            return Current(stage, change_encoder(workspace), part=True, doing=tables.IMAGES, online=True)
        if changes or self._learns_pretext(project):
            stage = tables.READY_STAGE if project.model_version else tables.PRETEXT
            if following := self._next_of_pretext(project, totals, pool, stage):
                return following
        if changes:  # to the project's own networks, now that there is one
            return Current(stage, change_encoder(workspace), part=True)
        if tuning_due(workspace, project, int(pool.training.sum())):
            return self._continued(tables.TRAINING) or Current(
                tables.READY_STAGE, fine_tune(workspace), doing=tables.TRAINING, pauses=True, online=True
            )
        if project.model_version and arrangement_due(workspace, project):
            return Current(stage, arrange_images(workspace), part=True, doing=MEASURING)
        self._at_rest(project)
        return None

    def _next_of_pretext(self, project: Project, totals: Totals, pool: PoolArrays, stage: str) -> Current | None:
        """What the batches lack."""
        workspace = self.workspace
        grown = totals.pool >= GROWN * project.pretext_pool
        if grown or pretext_is_of_another_encoder(workspace, project):
            pauses = bool(project.encoder)
            return self._continued(tables.PRETEXT) or Current(
                stage, pretext(workspace), doing=tables.PRETEXT, pauses=pauses
            )
        if (pool.batch < 0).any() or np.isnan(pool.loss).any():
            return Current(stage, score_late_images(workspace), doing=tables.PRETEXT)
        if not cut_as_wanted(project, workspace.settings):
            return Current(stage, recut(workspace), doing=tables.PRETEXT)
        return None

    def _learns_pretext(self, project: Project) -> bool:
        workspace = self.workspace
        strategy = chosen_strategy(workspace.settings, dense=project.dense, pretrained=bool(project.encoder))
        return workspace.learns_pretext or strategy.pretext

    def _continued(self, doing: str) -> Current | None:
        """The paused training of that stage, unless its images were replaced meanwhile."""
        paused = self._paused
        if paused is None or paused.doing != doing:
            return None
        self._paused = None
        under_way = is_under_way if doing == tables.PRETEXT else is_tried
        if not under_way(self.workspace):
            paused.job.close()
            return None
        return paused

    def _at_rest(self, project: Project) -> None:
        if project.model_version or self._newest.is_empty:
            self._rest(tables.READY_STAGE, "")

    def _nothing_readable(self) -> str:
        (task, reason), *_ = self.workspace.store.unreadable(self.workspace.project_id, limit=1)
        return (
            f"None of the images could be read. Task {task}: {reason} "
            "Fix this, then press Start Training in the project's Model settings."
        )

    def _training_due(self, project: Project, labelled: int) -> bool:
        requested = project.train_requested_at > project.main_requested_at
        if requested and not labelled:  # there is nothing to train on, so the request is dropped
            self.workspace.store.update(project.id, main_requested_at=project.train_requested_at)
        if not labelled:
            return False
        growth = self.workspace.settings.train_growth
        more = growth > 0 and labelled >= max(growth * project.main_labels, project.main_labels + FEW_LABELS)
        fewer = growth > 0 and project.main_labels >= max(growth * labelled, labelled + FEW_LABELS)  # many removed
        round_complete = project.round > max(project.main_round, 0)
        return more or fewer or round_complete or requested

    def _show(self, stage: str, progress: Progress) -> None:
        self.workspace.store.update(
            self.workspace.project_id,
            **({} if self.failing else {"stage": stage}),
            stage_progress=progress.done,
            stage_detail=progress.detail,
            eta_seconds=progress.eta_seconds,
        )

    def _rest(self, stage: str, detail: str) -> None:
        project = self.workspace.project()
        if not self.failing and (project.stage, project.stage_detail) != (stage, detail):
            self.workspace.store.update(
                project.id,
                stage=stage,
                stage_progress=1.0 if stage == tables.READY_STAGE else 0.0,
                stage_detail=detail,
                eta_seconds=None,
            )
