"""The active-learning loop of one project.

It keeps no list of jobs: it compares the current state with the wanted one and does the next missing thing, so no job
can get lost, run twice or run in the wrong order.

`sync` gets changes from the platform, `update_queue` does the quick things (fit probes, rank, publish), and `work` does
a slice of the slow ones (images, pretext task, training). The worker calls all three in turn, for every project, so
nothing quick waits for anything slow.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.draw_masks import draw_a_few, draw_masks, previews, undrawn
from pt4al_backend.active_learning.embed import embed
from pt4al_backend.active_learning.fetch_images import fetch_images, needs_other_images, start_over
from pt4al_backend.active_learning.fit_probes import fit_and_predict
from pt4al_backend.active_learning.pool_predictions import PoolPredictions, Previews
from pt4al_backend.active_learning.publish import Publisher, may_be_open
from pt4al_backend.active_learning.rank_pool import rank
from pt4al_backend.active_learning.schedule import Schedule, chosen_strategy, schedule
from pt4al_backend.active_learning.sort_pool import cut_as_wanted, pretext, recut, score_late_images
from pt4al_backend.active_learning.sync import Sync
from pt4al_backend.active_learning.train_network import train_main
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, is_dense, questions
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.platform import LabellingPlatform, Window
from pt4al_backend.store import tables
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

GROWN = 1.5  # the pretext task is trained again when the pool has grown by this factor
AT_ONCE = 2000  # images to embed in one job when no ranking waits for them
FEW_LABELS = 10  # fewer new labels than this do not start another training within a round


@dataclass
class Current:
    """The current job and the stage that it is shown as."""

    stage: str
    job: Job
    part: bool = False
    """Whether another job does the rest; the pool is ranked only after that."""
    shown_at: float = 0.0
    """When its progress was last shown, by the monotonic clock."""


class ProjectLoop:
    """One project's loop. Not thread-safe: one worker drives it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._sync, self._publisher = Sync(workspace), Publisher(workspace)
        self._current: Current | None = None
        self._window: Window | None = None
        self._stale = True  # the ranking may be out of date for a reason other than new labels
        self._query: tuple[int, str, NDArray[np.int64]] = (-1, "", np.empty(0, np.int64))  # round, encoder, tasks
        self._lacking: int | None = None  # labels_revision at which embeddings were missing, until the next job
        self._complete: tuple[object, ...] | None = None  # the situation in which nothing was missing
        self.last_stage = ""
        """The stage of the last job that was worked on."""
        self.failing = False
        """Whether the stage shows an error, until that is fixed."""

    @property
    def is_synced(self) -> bool:
        """Whether all tasks of the platform are in the store."""
        return self._sync.complete

    @property
    def busy_with(self) -> str:
        """The stage of the current job; "" if there is none."""
        current = self._current
        return current.stage if current else ""

    @property
    def is_awaited(self) -> bool:
        """Whether there is work, and no order yet that people could label in."""
        return self._current is not None and self._window is None

    def close(self) -> None:
        """Abandon the current job."""
        if self._current:
            self._current.job.close()
            self._current = None

    def reconnect(self, platform: LabellingPlatform) -> None:
        """Replace the platform and close the old one. Only what uses the platform is interrupted."""
        if self._current and self._current.stage == tables.IMAGES:
            self.close()
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
        if result.questions_changed:
            self.close()  # a training would use the old questions
        self._publisher.note(result.info)
        self._stale |= result.reconfigured
        if not self.is_synced:
            total = result.info.tasks
            done = min(result.tasks, total)  # some are listed twice
            self._show(tables.IMAGES, Progress(done / max(total, 1), f"{done} of {total} tasks listed"))
        return result.changed

    # Quick things

    def update_queue(self) -> None:
        """Fit probes, rank the pool and publish the window, each if it is due; then delete superseded versions."""
        if not self.is_synced:
            return
        window = self._newest_window()
        if window is not None and window.picks:
            self._publisher.publish(window)
        self._publisher.sweep()

    def _newest_window(self) -> Window | None:
        """The window for the newest labels; None if the pool cannot be ranked yet."""
        project = self.workspace.project()
        if not project.pretext_generation or needs_other_images(project):
            return None
        if self._stale or self._window is None or project.ranked_revision != project.labels_revision:
            if not self._can_choose(project):
                return None
            self._rank(project)
        return self._window

    def _can_choose(self, project: Project) -> bool:
        """Whether the first queue can be chosen; later ones always can. A negative answer is cached."""
        settings = self.workspace.settings
        if project.model_version or not chosen_strategy(settings, dense=project.dense).needs_embeddings:
            return True
        if self._lacking == project.labels_revision:
            return False
        pool = self.workspace.store.pool(project).in_batches()
        missing = self._missing(project, pool, schedule(pool, project, settings))
        self._lacking = project.labels_revision if len(missing) else None
        return not len(missing)

    def _missing(self, project: Project, pool: PoolArrays, scheduled: Schedule) -> NDArray[np.int64]:
        """Rows that the next rankings need and that have no embeddings yet."""
        return self.workspace.networks.embeddings(project).missing(scheduled.rows(pool))

    def _rank(self, project: Project) -> None:
        workspace, settings = self.workspace, self.workspace.settings
        draw_a_few(workspace, project)
        pool = workspace.store.pool(project).in_batches()
        scheduled = schedule(pool, project, settings)
        predictions = fit_and_predict(
            pool,
            questions(project),
            workspace.probe_inputs(project),
            uncertainty=lambda label_type: scheduled.strategy.uncertainty or settings.measure(label_type),
        )
        kept = self._kept(scheduled, project, pool)
        ranked = rank(
            pool,
            predictions,
            scheduled,
            settings,
            kept=kept,
            opened=may_be_open(project.retired, project.published, _waiting(pool)),
            previews=self._previews(pool, predictions) if settings.preannotate and is_dense(project) else None,
        )
        if scheduled.strategy.at_once and kept is None and not len(self._missing(project, pool, scheduled)):
            self._query = (ranked.round, workspace.networks.encoder_name(project), ranked.query)
        self._window = ranked.window
        self._stale = False
        workspace.store.save_ranking(
            project.id,
            ranked.arrays,
            questions=project.questions,
            ranked_revision=project.labels_revision,
            round=ranked.round,
        )

    def _previews(self, pool: PoolArrays, predictions: PoolPredictions) -> Previews:
        return lambda positions: previews(self.workspace, pool, predictions, positions)

    def _kept(self, scheduled: Schedule, project: Project, pool: PoolArrays) -> NDArray[np.int64] | None:
        """What is left of the current query, if the strategy chooses queries as a whole; otherwise None.

        A query that was chosen while candidates lacked embeddings is not kept.
        """
        round_, encoder, tasks = self._query
        current = (scheduled.round.number, self.workspace.networks.encoder_name(project))
        if not scheduled.strategy.at_once or (round_, encoder) != current:
            return None
        unlabelled = pool.task[~pool.labelled & ~pool.skipped]
        left = tasks[np.isin(tasks, unlabelled)]
        return left if len(left) else None

    # Slow things

    def work(self, seconds: float) -> bool:
        """Work on the next missing thing for so long.

        It waits until all tasks are synced: some of them would be the wrong pool to train on.

        Returns:
            False if nothing is missing.
        """
        if not self.is_synced:
            return True
        if self._current is None:
            situation = self._situation()
            if self._complete == situation:
                return False
            self._complete = self._lacking = None
            self._current = self._next()
        if self._current is None:
            if self._situation() == situation:  # otherwise something changed that `_next` may have missed
                self._complete = situation
            return False
        current, self.last_stage = self._current, self._current.stage
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                progress = next(current.job)
                if time.monotonic() - current.shown_at >= 0.5:
                    current.shown_at = time.monotonic()
                    self._show(current.stage, progress)
        except StopIteration:
            self._current = None
            self._stale |= not current.part
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
            project.pretext_generation,
            project.main_generation,
            project.model_version,
            project.stage,
            self.failing,
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
        totals = workspace.store.totals(workspace.project_id)
        if totals.waiting:
            return Current(tables.IMAGES, fetch_images(workspace))
        if not totals.pool:
            self._rest(tables.WAITING, "for images")
            if totals.unreadable:
                raise PT4ALError(self._nothing_readable())
            return None
        if totals.pool >= GROWN * project.pretext_pool:
            return Current(tables.PRETEXT, pretext(workspace))
        pool = workspace.store.pool(project)
        if (pool.batch < 0).any() or np.isnan(pool.loss).any():
            return Current(tables.PRETEXT, score_late_images(workspace))
        if not cut_as_wanted(project, workspace.settings):
            return Current(tables.PRETEXT, recut(workspace))
        stage = tables.READY_STAGE if project.model_version else tables.PRETEXT
        missing = self._missing(project, pool, schedule(pool, project, workspace.settings))
        if len(missing):
            return Current(stage, embed(workspace, missing))
        if undrawn(workspace, project):
            return Current(stage, draw_masks(workspace))
        labelled = int(pool.labelled.sum())
        if self._training_due(project, labelled):
            return Current(tables.TRAINING, train_main(workspace))
        rest = (
            workspace.networks.embeddings(project).missing(pool.row) if labelled and not project.dense else pool.row[:0]
        )
        if len(rest):
            return Current(tables.READY_STAGE, embed(workspace, rest[:AT_ONCE]), part=len(rest) > AT_ONCE)
        if project.model_version or self._everything_is_labelled:
            self._rest(tables.READY_STAGE, "")
        return None

    @property
    def _everything_is_labelled(self) -> bool:
        return self._window is not None and not self._window.picks

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


def _waiting(pool: PoolArrays) -> set[int]:
    """Tasks that are neither labelled nor skipped."""
    return set(pool.task[~pool.labelled & ~pool.skipped].tolist())
