"""What every request of this process works with.

Both SDK generations make the model object themselves, so nothing can be handed to it:
settings and store are the process's own. ``create_app`` sets them; without it they come
from the environment.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from pt4al_backend.labelling_platform import Question
from pt4al_backend.running import Presence
from pt4al_backend.settings import Settings, load_settings
from pt4al_backend.store.ranking import RankingArrays
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


_lock = threading.Lock()
_current: Context | None = None


def open_context(settings: Settings) -> Context:
    """Serve this store from now on; the one before is closed. ``PT4ALError`` if it cannot be used."""
    global _current
    store = Store(settings.data_dir, settings.database_url)
    with _lock:
        before, _current = _current, Context(settings, store, Rankings(store), Presence(settings, "web"))
    if before is not None:
        before.store.close()
        before.presence.close()
    return _current


def context() -> Context:
    """The context of this process, opened from the environment at first use."""
    return _current or open_context(load_settings())
