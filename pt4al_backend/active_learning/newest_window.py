"""The newest window of a project: fit probes, rank the pool, and choose what to label next, when it is due."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.draw_masks import draw_a_few, previews
from pt4al_backend.active_learning.fetch_images import needs_other_images
from pt4al_backend.active_learning.find_duplicates import groups_of
from pt4al_backend.active_learning.fit_probes import fit_and_predict
from pt4al_backend.active_learning.hold_out import hold_out
from pt4al_backend.active_learning.pool_predictions import PoolPredictions, Previews
from pt4al_backend.active_learning.publish import may_be_open
from pt4al_backend.active_learning.rank_pool import rank
from pt4al_backend.active_learning.schedule import Schedule, chosen_strategy, ranked_pool, schedule
from pt4al_backend.active_learning.workspace import Workspace, is_dense, questions
from pt4al_backend.assessment.duplicates import asked
from pt4al_backend.labelling.platform import Window
from pt4al_backend.sampling.batches import query_size_for
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

FIRST = 500
"""Images that a first window is chosen from while others are still being fetched."""
LEAST = 100
"""The same where a machine is slow: as many as are there after `SOON` seconds, but no fewer than this."""
SOON = 5.0
"""Seconds."""


class NewestWindow:
    """Ranks the pool of one project, and remembers what was chosen."""

    def __init__(self, workspace: Workspace) -> None:
        self.stale = True
        """Whether the ranking may be out of date for a reason other than new labels."""
        self.is_whole = False
        """Whether a window has been chosen when all images were there."""
        self._workspace = workspace
        self._window: Window | None = None
        self._encoder = ""  # that the window was chosen with
        self._query: tuple[int, str, NDArray[np.int64]] = (-1, "", np.empty(0, np.int64))  # round, encoder, tasks
        self._fetching_since = time.monotonic()  # when there was no image yet
        self._lacking: int | None = None  # labels_revision at which embeddings were missing, until the next job

    @property
    def is_empty(self) -> bool:
        """Whether the pool has been ranked and nothing is left to label."""
        return self._window is not None and not self._window.picks

    def look_again(self) -> None:
        """Embeddings that were missing may be there."""
        self._lacking = None

    def choose(self) -> Window | None:
        """The window for the newest labels; None if the pool cannot be ranked yet."""
        project = self._workspace.project()
        if needs_other_images(project) or not (project.encoder or project.pretext_generation):
            return None
        changed = self._encoder != self._workspace.networks.encoder_name(project)
        if self.stale or changed or self._window is None or project.ranked_revision != project.labels_revision:
            choose = self._choose_from_all if project.encoder else self._choose_from_batches
            if not choose(project):
                return None
        return self._window

    def missing(self, project: Project, pool: PoolArrays) -> NDArray[np.int64]:
        """Rows that the next rankings need and that have no embeddings yet."""
        files = self._workspace.networks.embeddings(project)
        if project.encoder:
            return files.missing(pool.row)
        return files.missing(schedule(pool, project, self._workspace.settings).rows(pool))

    def _choose_from_batches(self, project: Project) -> bool:
        """With the project's own networks, only images in batches are ranked. Returns whether they could be."""
        if not self._can_choose(project):
            return False
        pool = self._workspace.store.pool(project).in_batches()
        self._rank(project, pool, whole=not len(self.missing(project, pool)))
        return True

    def _can_choose(self, project: Project) -> bool:
        """Whether the first queue can be chosen; later ones always can. A negative answer is cached."""
        strategy = chosen_strategy(self._workspace.settings, dense=project.dense, pretrained=False)
        if project.model_version or not strategy.needs_embeddings:
            return True
        if self._lacking == project.labels_revision:
            return False
        missing = self.missing(project, self._workspace.store.pool(project).in_batches())
        self._lacking = project.labels_revision if len(missing) else None
        return not len(missing)

    def _choose_from_all(self, project: Project) -> bool:
        """With a pretrained encoder, all embedded images are ranked, once they are enough. Returns whether they are."""
        workspace = self._workspace
        totals = workspace.store.totals(project.id)
        enough = min(FIRST, project.ranked_pool or self._enough(totals.pool))
        if totals.pool < enough and totals.waiting:
            return False
        pool = workspace.store.pool(project)
        embedded = workspace.networks.embeddings(project).has(pool.row)
        whole = bool(embedded.all()) and not totals.waiting
        if not embedded.any() or (embedded.sum() < enough and not whole):
            return False
        strategy = chosen_strategy(workspace.settings, dense=project.dense, pretrained=True)
        images = totals.pool + totals.waiting
        query_size = project.query_size or query_size_for(images, cycles=min(workspace.settings.cycles, images))
        self._rank(project, ranked_pool(pool, embedded, strategy), whole=whole, query_size=query_size)
        return True

    def _enough(self, fetched: int) -> int:
        """How many images a first window is chosen from while others are still being fetched."""
        now = time.monotonic()
        if not fetched:
            self._fetching_since = now
        return LEAST if now - self._fetching_since >= SOON else FIRST

    def _rank(self, project: Project, pool: PoolArrays, *, whole: bool, query_size: int = 0) -> None:
        """Rank `pool`; `whole`: all images are there, so that a query may be kept until it is labelled."""
        workspace, settings = self._workspace, self._workspace.settings
        draw_a_few(workspace, project)
        middle = groups_of(workspace, project, pool)
        pool = hold_out(workspace, project, pool, middle) if whole else pool
        once = asked(middle, labelled=pool.labelled, skipped=pool.skipped)
        collapsed = replace(pool, skipped=pool.skipped | once.waits)  # a round is complete without those that wait
        scheduled = schedule(collapsed, project, settings, query_size=query_size)
        predictions = fit_and_predict(
            pool,
            questions(project),
            workspace.probe_inputs(project),
            uncertainty=lambda label_type: scheduled.strategy.uncertainty or settings.measure(label_type),
        )
        kept = self._kept(scheduled, project, collapsed)
        ranked = rank(
            pool,
            predictions,
            scheduled,
            settings,
            asked=once,
            kept=kept,
            opened=may_be_open(project.retired, project.published, _waiting(pool)),
            previews=self._previews(pool, predictions) if settings.preannotate and is_dense(project) else None,
        )
        self._encoder = workspace.networks.encoder_name(project)
        if scheduled.strategy.at_once and kept is None and whole:
            self._query = (ranked.round, self._encoder, ranked.query)
        self._window = ranked.window
        self.is_whole |= whole or not project.encoder
        self.stale = False
        workspace.store.save_ranking(
            project.id,
            ranked.arrays,
            questions=project.questions,
            reasons=[asdict(reason) for reason in ranked.reasons],
            ranked_revision=project.labels_revision,
            ranked_pool=len(pool),
            round=ranked.round,
            **({"query_size": query_size} if query_size else {}),
        )

    def _previews(self, pool: PoolArrays, predictions: PoolPredictions) -> Previews:
        return lambda positions: previews(self._workspace, pool, predictions, positions)

    def _kept(self, scheduled: Schedule, project: Project, pool: PoolArrays) -> NDArray[np.int64] | None:
        """What is left of the current query, if the strategy chooses queries as a whole; otherwise None.

        A query that was chosen while candidates lacked embeddings is not kept.
        """
        round_, encoder, tasks = self._query
        current = (scheduled.round.number, self._workspace.networks.encoder_name(project))
        if not scheduled.strategy.at_once or (round_, encoder) != current:
            return None
        left = tasks[np.isin(tasks, pool.task[pool.open])]
        return left if len(left) else None


def _waiting(pool: PoolArrays) -> set[int]:
    """Tasks that are neither labelled nor skipped."""
    return set(pool.task[pool.open].tolist())
