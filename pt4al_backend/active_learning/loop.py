"""The active-learning loop of one project.

It keeps no list of things to do: each time it compares what is with what should be and does
the next missing thing, so nothing can be lost, doubled or done in the wrong order.

`look` asks the platform what changed; `steer` does what is quick (refit, rank, publish);
`work` does a slice of what is slow (images, pretext, training). The worker calls all three
in turn, for every project, so nothing quick ever waits for anything slow.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.draw_masks import draw_a_few, draw_masks, previews, undrawn
from pt4al_backend.active_learning.embed import embed
from pt4al_backend.active_learning.fetch_images import asks_otherwise, fetch_images, start_anew
from pt4al_backend.active_learning.fit_probes import refit
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

GROWN = 1.5  # the pool has outgrown its pretext network when it is so many times as large
AT_ONCE = 2000  # images that nobody waits for, embedded before it is asked again what is missing
FEW_LABELS = 10  # the main network is not trained anew within a round for fewer new labels than these


@dataclass
class Current:
    """The job under way and the stage it shows as."""

    stage: str
    job: Job
    part: bool = False  # the rest follows: nothing is to be ranked before
    shown_at: float = 0.0


class ProjectLoop:
    """One project's loop. Not thread-safe: one worker drives it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._sync, self._publisher = Sync(workspace), Publisher(workspace)
        self._current: Current | None = None
        self._window: Window | None = None
        self._stale = True  # the ranking may be out of date for a reason that no label shows
        self._query: tuple[int, str, NDArray[np.int64]] = (-1, "", np.empty(0, np.int64))  # round, encoder, tasks
        self._lacking: int | None = None  # labels_revision at which embeddings lacked, until the next job is chosen
        self._rested: tuple[object, ...] | None = None  # what the project was like when nothing was missing
        self.last_stage = ""  # of the last job that was worked on
        self.failing = False  # an error is shown as the stage until it is mended

    @property
    def has_looked(self) -> bool:
        """Whether all that the platform shows was taken in, so that there is something to go by."""
        return self._sync.complete

    @property
    def busy_with(self) -> str:
        """What is under way, in a word."""
        current = self._current
        return current.stage if current else ""

    def close(self) -> None:
        """Abandon the job under way."""
        if self._current:
            self._current.job.close()
            self._current = None

    def reconnect(self, platform: LabellingPlatform) -> None:
        """Go on with another platform, and close the one before. Only what asks it something is interrupted."""
        if self._current and self._current.stage == tables.IMAGES:
            self.close()
        self._sync.interrupt()
        before, self.workspace.platform = self.workspace.platform, platform
        if before is not platform:
            before.close()

    # What the platform says

    def look(self) -> bool:
        """Take in what changed on the platform, or a part of it. True if anything did."""
        result = self._sync.look()
        if result.asks_anew:
            self.close()  # a training learns what was asked before
        self._publisher.note(result.info)
        self._stale |= result.reconfigured
        if not self.has_looked:
            total = result.info.tasks
            done = min(result.tasks, total)  # some come twice
            self._show(tables.IMAGES, Progress(done / max(total, 1), f"{done} of {total} tasks listed"))
        return result.changed

    # What is quick

    def steer(self) -> None:
        """Refit, rank and publish, as far as each is due; then delete what is out."""
        if not self.has_looked:
            return
        window = self._newest_window()
        if window is not None and window.picks:
            self._publisher.publish(window)
        self._publisher.sweep()

    def _newest_window(self) -> Window | None:
        """None where there is nothing to choose from yet."""
        project = self.workspace.project()
        if not project.pretext_generation or asks_otherwise(project):
            return None
        if self._stale or self._window is None or project.ranked_revision != project.labels_revision:
            if not self._can_choose(project):
                return None
            self._rank(project)
        return self._window

    def _can_choose(self, project: Project) -> bool:
        """Whether all is there for a first queue; from then on there is always one. Quick while it stays a no."""
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
        """Rows that the next rankings need and that are not embedded yet."""
        return self.workspace.networks.embeddings(project).missing(scheduled.rows(pool))

    def _rank(self, project: Project) -> None:
        workspace, settings = self.workspace, self.workspace.settings
        draw_a_few(workspace, project)
        pool = workspace.store.pool(project).in_batches()
        scheduled = schedule(pool, project, settings)
        predictions = refit(
            pool,
            questions(project),
            workspace.sources(project),
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
        """The query under way, where it is chosen as a whole and there is something left of it.

        One that was chosen while candidates had no embeddings yet is not kept.
        """
        round_, encoder, tasks = self._query
        now = (scheduled.round.number, self.workspace.networks.encoder_name(project))
        if not scheduled.strategy.at_once or (round_, encoder) != now:
            return None
        unlabelled = pool.task[~pool.labelled & ~pool.skipped]
        left = tasks[np.isin(tasks, unlabelled)]
        return left if len(left) else None

    # What is slow

    def work(self, seconds: float) -> bool:
        """Work on the next missing thing for so long. False if nothing is missing.

        While tasks are left to be looked at nothing is done: a part of them is no pool to learn from.
        """
        if not self.has_looked:
            return True
        if self._current is None:
            situation = self._situation()
            if self._rested == situation:
                return False
            self._rested = self._lacking = None
            self._current = self._next()
        if self._current is None:
            if self._situation() == situation:  # else it is looked at anew: not all that changed may have been seen
                self._rested = situation
            return False
        current, self.last_stage = self._current, self._current.stage
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                step = next(current.job)
                if time.monotonic() - current.shown_at >= 0.5:
                    current.shown_at = time.monotonic()
                    self._show(current.stage, step)
        except StopIteration:
            self._current = None
            self._stale |= not current.part
        except BaseException:
            self._current = None
            raise
        return True

    def _situation(self) -> tuple[object, ...]:
        """All that decides what is missing: as long as it stays the same, there is no need to look closely."""
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
        if asks_otherwise(project):
            return Current(tables.IMAGES, start_anew(workspace, "the questions have changed"))
        if workspace.has_lost_files(project):
            logger.warning("project %d: its images or networks are gone from the disk; starting anew", project.number)
            return Current(tables.IMAGES, start_anew(workspace, "images or networks are gone from the disk"))
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
        aside = tables.READY_STAGE if project.model_version else tables.PRETEXT
        missing = self._missing(project, pool, schedule(pool, project, workspace.settings))
        if len(missing):
            return Current(aside, embed(workspace, missing))
        if undrawn(workspace, project):
            return Current(aside, draw_masks(workspace))
        labelled = int(pool.labelled.sum())
        if self._training_due(project, labelled):
            return Current(tables.TRAINING, train_main(workspace))
        rest = (
            workspace.networks.embeddings(project).missing(pool.row) if labelled and not project.dense else pool.row[:0]
        )
        if len(rest):
            return Current(tables.READY_STAGE, embed(workspace, rest[:AT_ONCE]), part=len(rest) > AT_ONCE)
        if project.model_version or self._everything_is_answered:
            self._rest(tables.READY_STAGE, "")
        return None

    @property
    def _everything_is_answered(self) -> bool:
        return self._window is not None and not self._window.picks

    def _nothing_readable(self) -> str:
        (task, reason), *_ = self.workspace.store.unreadable(self.workspace.project_id, limit=1)
        return (
            f"None of the images could be read. Task {task}: {reason} "
            "Mend that, then press Start Training in the project's Model settings."
        )

    def _training_due(self, project: Project, labelled: int) -> bool:
        asked = project.train_requested_at > project.main_requested_at
        if asked and not labelled:  # there is nothing to learn from: the wish is forgotten
            self.workspace.store.update(project.id, main_requested_at=project.train_requested_at)
        if not labelled:
            return False
        growth = self.workspace.settings.train_growth
        more = growth > 0 and labelled >= max(growth * project.main_labels, project.main_labels + FEW_LABELS)
        less = growth > 0 and project.main_labels >= max(growth * labelled, labelled + FEW_LABELS)  # taken back
        round_complete = project.round > max(project.main_round, 0)
        return more or less or round_complete or asked

    def _show(self, stage: str, step: Progress) -> None:
        self.workspace.store.update(
            self.workspace.project_id,
            **({} if self.failing else {"stage": stage}),
            stage_progress=step.done,
            stage_detail=step.detail,
            eta_seconds=step.eta_seconds,
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
    """Tasks that can still be labelled."""
    return set(pool.task[~pool.labelled & ~pool.skipped].tolist())
