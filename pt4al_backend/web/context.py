"""The settings and the store that all requests of this process share.

Both SDK generations create the model object themselves, so nothing can be passed to it: settings and store are global
in the process. `create_app` sets them; without it they come from the environment.
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
    """A cache of each project's newest ranking, which is read again only after it has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cached: dict[int, tuple[float, RankingArrays, tuple[Question, ...]]] = {}

    def newest(self, project_id: int) -> tuple[RankingArrays, tuple[Question, ...]] | None:
        """The newest ranking and the questions that its predictions answer; None before the first one."""
        stamp = self._store.ranking_stamp(project_id)
        cached = self._cached.get(project_id)
        if cached is not None and cached[0] == stamp:
            return cached[1], cached[2]
        newest = None if stamp is None else self._store.ranking(project_id)
        if stamp is None or newest is None:
            self._cached.pop(project_id, None)
            return None
        self._cached[project_id] = (stamp, *newest)
        return newest


@dataclass(frozen=True)
class Context:
    """The settings and the store of this process, and the cache of rankings."""

    settings: Settings
    store: Store
    rankings: Rankings
    presence: Presence


logger = logging.getLogger(__name__)
_lock = threading.Lock()
_current: Context | None = None
_reopening = threading.Lock()
_obstacle = ""  # why the store that replaced ours cannot be opened


def open_context(settings: Settings) -> Context:
    """Serve the store of `settings` from now on, and close the one before.

    Raises:
        PT4ALError: The store cannot be used.
    """
    with _lock:
        return _open(settings)


def context() -> Context:
    """The context of this process, opened from the environment at first use."""
    return _current or open_context(load_settings())


def require_store() -> None:
    """Raise `StoreError` unless the store that was opened is still in its place.

    If another store has replaced it, a thread opens that one. Never waits, because `/health` must always be answered.
    """
    current = context()
    try:
        current.store.require_present()
    except DataReplacedError as error:
        if _reopening.acquire(blocking=False):
            logger.warning("%s", error)
            threading.Thread(target=_reopen, args=(current,), name="reopen").start()
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
