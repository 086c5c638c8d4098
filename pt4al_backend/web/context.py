"""What every request of this process works with.

Both SDK generations make the model object themselves, so nothing can be handed to it:
settings and store are the process's own. `create_app` sets them; without it they come
from the environment.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from pt4al_backend.errors import DataReplacedError, PT4ALError, StoreError
from pt4al_backend.labelling.questions import Question
from pt4al_backend.reports.running_backend import Presence
from pt4al_backend.settings import Settings, load_settings
from pt4al_backend.store.pool_scores import RankingArrays
from pt4al_backend.store.store import Store


class Rankings:
    """The newest ranking of each project, read again only when it has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[int, tuple[float, RankingArrays, tuple[Question, ...]]] = {}

    def newest(self, project_id: int) -> tuple[RankingArrays, tuple[Question, ...]] | None:
        """The ranking and the questions its guesses answer; None before the first."""
        stamp = self._store.ranking_stamp(project_id)
        kept = self._kept.get(project_id)
        if kept is not None and kept[0] == stamp:
            return kept[1], kept[2]
        newest = None if stamp is None else self._store.ranking(project_id)
        if stamp is None or newest is None:
            self._kept.pop(project_id, None)
            return None
        self._kept[project_id] = (stamp, *newest)
        return newest


@dataclass(frozen=True)
class Context:
    """Settings, the one store of this process, and its rankings."""

    settings: Settings
    store: Store
    rankings: Rankings
    presence: Presence


logger = logging.getLogger(__name__)
_lock = threading.Lock()
_current: Context | None = None
_reopening = threading.Lock()
_obstacle = ""  # why another store that took the place of ours cannot be opened


def open_context(settings: Settings) -> Context:
    """Serve this store from now on; the one before is closed. `PT4ALError` if it cannot be used."""
    with _lock:
        return _open(settings)


def context() -> Context:
    """The context of this process, opened from the environment at first use."""
    return _current or open_context(load_settings())


def require_store() -> None:
    """Raise `StoreError` unless the store that was opened still is in its place.

    Another one that is there now is opened meanwhile. Never waits: `/health` is answered where nothing may.
    """
    now = context()
    try:
        now.store.require_present()
    except DataReplacedError as error:
        if _reopening.acquire(blocking=False):
            logger.warning("%s", error)
            threading.Thread(target=_reopen, args=(now,), name="reopen").start()
        raise StoreError(_obstacle or str(error)) from error


def _reopen(before: Context) -> None:
    global _obstacle
    try:
        with _lock:
            if _current is before:
                _open(before.settings)
        _obstacle = ""
    except PT4ALError as error:
        _obstacle = str(error)
    finally:
        _reopening.release()


def _open(settings: Settings) -> Context:
    global _current
    store = Store(settings.data_dir, settings.database_url)
    before, _current = _current, Context(settings, store, Rankings(store), Presence(settings, "web"))
    if before is not None:
        before.store.close()
        before.presence.close()
    return _current
