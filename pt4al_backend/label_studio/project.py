"""One project of Label Studio, as the active-learning loop needs it (facts 1 to 10)."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError, ProjectGoneError
from pt4al_backend.label_studio.client import READ_SECONDS, LabelStudioClient
from pt4al_backend.label_studio.image_fetcher import FetchLimits, ImageFetcher
from pt4al_backend.label_studio.image_values import image_name
from pt4al_backend.label_studio.label_config.config import LabelConfig, parse_config
from pt4al_backend.label_studio.label_config.regions import draw, misfits
from pt4al_backend.label_studio.task_list import Row, TaskList, parse_time
from pt4al_backend.labelling.platform import Drawing, Pick, ProjectInfo, TaskState, Window
from pt4al_backend.labelling.questions import Question
from pt4al_backend.settings import Settings

if TYPE_CHECKING:
    from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

VERSIONS = "pt4al-"
"""The prefix of our prediction versions; versions of other tools are not touched."""
RECENT = 5.0
"""Seconds for which a project as `project` saw it is recent enough to publish to."""
CONNECTED_FOR = 30.0
"""Seconds for which the answer that the project is connected is reused."""
ASKING = 5.0
"""Time limit in seconds of the question whether it is."""
UNCERTAINTY_SAMPLING = "Uncertainty sampling"
SLOW = 180.0
"""Time limit in seconds of slow requests; deleting a prediction takes 7 ms (fact 6), more on a busy machine."""
SWEEPING = 2.0
"""Seconds of deleting after which the rest is left to the next call, as all other projects wait."""
IMPORT_TRIES = 3
AT_ONCE = 1000
"""Predictions in one request."""
AT_ONCE_WITH_REGIONS = 10
"""Predictions with regions in one request; a painted photo may take a megabyte."""
NOTES = 10
"""At most so many notes on one task."""
DELETE = "delete it in the Data Manager, and import it again"  # nothing else works (facts 36 and 42)
NO_OBJECT = f'Its data is not an object, such as {{"image": "..."}}: {DELETE}.'
NOT_LISTED = (
    "Label Studio fails at this task, and so at every list that contains it: fix it with Label Studio's API, or "
    "delete it with POST /api/dm/actions?id=delete_tasks&project={project} and "
    '{{"selectedItems": {{"all": false, "included": [{task}]}}}}.'
)
FIELDS = (
    "title,label_config,task_number,total_annotations_number,skipped_annotations_number,"
    "model_version,sampling,created_at,maximum_annotations"
)


class LabelStudioProject:
    """A `LabellingPlatform`. Only `image` may be called from several threads."""

    def __init__(
        self,
        client: LabelStudioClient,
        number: int,
        created: str,
        *,
        limits: FetchLimits,
        preannotate: bool = True,
        set_sampling: bool = True,
        least_region: float = 0.001,
    ) -> None:
        """
        Args:
            client: for the project's Label Studio.
            number: the project's id.
            created: the project's time of creation as /setup sends it, in whole Unix seconds (fact 13).
            limits: the bounds of fetching an image.
            preannotate: whether predictions have results.
            set_sampling: whether to set the project's task order to Uncertainty sampling.
            least_region: predicted regions smaller than this fraction of the image are dropped.
        """
        self.number = number
        self._client = client
        self._created = created
        self._preannotate = preannotate
        self._set_sampling = set_sampling
        self._least_region = least_region
        self._images = ImageFetcher(label_studio_url=client.url, credentials=client.credentials, limits=limits)
        self._tasks = TaskList(self._ask, number)
        self._config: LabelConfig | None = None
        self._seen: tuple[float, Row] | None = None
        """When `project` last saw the project, by the monotonic clock, and its row."""
        self._our_versions: set[str] | None = None
        """The versions that may exist; None before Label Studio was asked."""
        self._connected, self._ask_again_at = True, 0.0

    @classmethod
    def of(cls, project: Project, settings: Settings) -> LabelStudioProject:
        """The project that a row of the store describes."""
        return cls(
            LabelStudioClient.of(project.label_studio_url, project.access_token, settings),
            project.number,
            project.created,
            limits=fetch_limits(settings),
            preannotate=settings.preannotate,
            set_sampling=settings.set_sampling,
            least_region=settings.least_region,
        )

    def close(self) -> None:
        """Close all connections."""
        self._images.close()
        self._client.close()

    def is_connected(self) -> bool:
        """See `LabellingPlatform`. Label Studio does not report that a model was removed, so it is asked regularly.

        Without an answer, the previous one remains valid.
        """
        if time.monotonic() < self._ask_again_at:
            return self._connected
        try:
            self._connected = self._has_backend()
        except ProjectGoneError:
            raise
        except LabelStudioError as error:
            logger.info("project %d: it is not known whether it is connected: %s", self.number, error)
        if self._connected:  # otherwise ask every time, to notice a new connection at once
            self._ask_again_at = time.monotonic() + CONNECTED_FOR
        return self._connected

    def project(self) -> ProjectInfo:
        """See `LabellingPlatform`. `ProjectGoneError` also if the id now belongs to another project."""
        row = self._project()
        self._seen = (time.monotonic(), row)
        config = self._config = parse_config(row["label_config"])
        return ProjectInfo(
            title=row["title"],
            label_config=row["label_config"],
            questions=config.questions,
            tasks=row["task_number"],
            annotations=row["total_annotations_number"],
            skipped=row["skipped_annotations_number"],
            model_version=row["model_version"] or "",
            notes=config.ignored,
            overlap=row["maximum_annotations"],
        )

    def tasks(self, since: str | None) -> Iterator[tuple[list[TaskState], str]]:
        """See `LabellingPlatform`. Some tasks come twice."""
        config = self._asked()
        self._tasks.has_regions = config.draws
        for rows, cursor in self._tasks.changed(since):
            yield [self._read(row, config) for row in rows], cursor

    def _image_values(self, rows: Sequence[Row]) -> dict[int, str]:
        config = self._asked()
        return {row["id"]: config.image_of(row.get("data")) for row in rows}

    def _asked(self) -> LabelConfig:
        return self._config or parse_config(self._project()["label_config"])

    def missing(self, known: Sequence[int]) -> set[int]:
        """See `LabellingPlatform`."""
        return self._tasks.missing(known)

    def images_behind(self, task: int) -> dict[int, str]:
        """See `LabellingPlatform`."""
        return self._image_values(self._tasks.behind(task))

    def images_of(self, tasks: Sequence[int]) -> dict[int, str]:
        """See `LabellingPlatform`."""
        return self._image_values(self._tasks.data_of(tasks))

    def image(self, task: int, value: str) -> bytes:
        """See `LabellingPlatform`."""
        return self._images.fetch(value, task_id=task)

    def image_name(self, task: int, value: str) -> str:
        """See `LabellingPlatform`."""
        return image_name(value)

    def drawing(
        self, question: Question, regions: Sequence[dict[str, Any]], *, side: int, size: tuple[int, int]
    ) -> Drawing:
        """See `LabellingPlatform`."""
        mask = draw(regions, question.classes, side=side, background=True, size=size)
        return Drawing(mask, tuple(misfits(regions, size)))

    def publish(self, window: Window) -> None:
        """See `LabellingPlatform`. May be killed anywhere and called again. An empty window changes nothing."""
        if not window.picks:
            return
        project = self._recent()
        may_exist = self._our_versions is None or window.version in self._our_versions
        imported = self._versions().get(window.version, 0) if may_exist else 0
        expected = len(window.picks + window.opened)
        if not imported or (project["model_version"] != window.version and imported != expected):
            if imported:
                self._delete(window.version)  # from an import that was interrupted
            if not self._import(window, parse_config(project["label_config"])):
                return  # all its tasks have been deleted
        if self._set_sampling and project["sampling"] != UNCERTAINTY_SAMPLING:
            self._patch(sampling=UNCERTAINTY_SAMPLING)
        if project["model_version"] != window.version:
            self._patch(model_version=window.version)  # alone: see fact 4; last: whoever sees it expects its order
        self._seen = None

    def sweep(self, keep: Collection[str]) -> bool:
        """See `LabellingPlatform`. Deletes at least one version."""
        until = time.monotonic() + SWEEPING
        if self._our_versions is not None and self._our_versions <= set(keep):
            return True
        stale = [version for version in self._versions() if version.startswith(VERSIONS) and version not in keep]
        while stale:
            self._delete(stale.pop(), seconds=READ_SECONDS)
            if time.monotonic() >= until:
                break
        return not stale

    # The project

    def _recent(self) -> Row:
        """The project as `project` saw it a moment ago, which saves a request for each order, or as it is now."""
        if self._seen is not None and time.monotonic() - self._seen[0] < RECENT:
            return self._seen[1]
        return self._project()

    def _project(self) -> Row:
        row = self._ask("GET", f"{self._path}/", params={"include": f"id,{FIELDS},evaluate_predictions_automatically"})
        if not isinstance(row, dict) or not row.keys() >= set(FIELDS.split(",")):
            raise LabelStudioError(
                "Label Studio shows projects in a form that PT4AL does not know: update Label Studio or pt4al-backend."
            )
        if self._created and str(int(parse_time(row["created_at"]).timestamp())) != self._created:
            raise ProjectGoneError(f"Project {self.number} was deleted: its id now belongs to another project.")
        self._tasks.predicts_when_listed = bool(row.get("evaluate_predictions_automatically"))
        return row

    def _has_backend(self) -> bool:
        """Whether a connected model may be ours. The list `api/ml` would call every model, and so wake this backend."""
        query = {"extended": "true", "include_live_models": "true"}
        answer = self._ask("GET", f"{self._path}/model-versions/", params=query, seconds=ASKING)
        models = answer.get("live") if isinstance(answer, dict) else None
        if not isinstance(models, list):
            return True  # this Label Studio does not report connected models
        return any(map(_may_be_ours, models))

    @property
    def _path(self) -> str:
        return f"api/projects/{self.number}"

    def _patch(self, **fields: Any) -> None:
        self._ask("PATCH", f"{self._path}/", json=fields)

    def _ask(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            return self._client.request(method, path, **arguments)
        except LabelStudioRefusedError as error:
            if error.status != 404:
                raise
            raise ProjectGoneError(f"Project {self.number} no longer exists in Label Studio.") from error

    def _read(self, row: Row, config: LabelConfig) -> TaskState:
        """A task, whatever it contains: one that cannot be read gets a note and does not stop the others."""
        if row.keys() == {"id"}:
            note = NOT_LISTED.format(project=self.number, task=row["id"])
        else:
            try:
                return _state(row, config)
            except Exception as error:
                logger.exception("project %d: task %d cannot be read", self.number, row["id"])
                note = f"It cannot be read ({type(error).__name__}): {DELETE}."
        return TaskState(row["id"], "", note, {}, skipped=False, annotations=0, cancelled=0, notes=(note,))

    # Predictions

    def _versions(self) -> dict[str, int]:
        """The project's prediction versions, also those of other tools, with their numbers of predictions."""
        versions: dict[str, int] = dict(self._ask("GET", f"{self._path}/model-versions/"))
        self._our_versions = {version for version in versions if version.startswith(VERSIONS)}
        return versions

    def _delete(self, version: str, *, seconds: float = SLOW) -> None:
        self._ask("DELETE", f"{self._path}/model-versions/", json={"model_version": version}, seconds=seconds)
        if self._our_versions is not None:
            self._our_versions.discard(version)

    def _import(self, window: Window, config: LabelConfig) -> int:
        """Import the predictions of a window, except those of deleted tasks. Returns how many were imported."""
        picks = window.picks + window.opened
        for tries_left in reversed(range(IMPORT_TRIES)):
            try:
                created = self._send(window.version, picks, config)
                break
            except LabelStudioRefusedError:
                existing = self._tasks.existing([pick.task for pick in picks])
                if len(existing) == len(picks) or not tries_left:
                    raise
            picks = tuple(pick for pick in picks if pick.task in existing)
            if window.version in self._versions():
                self._delete(window.version)
        if created != len(picks):
            # Label Studio drops invalid predictions, and reports them only in its log (fact 32).
            self._delete(window.version)
            raise LabelStudioError(
                f"Label Studio accepted {created} of {len(picks)} predictions: search its log for "
                "'Prediction validation failed'."
            )
        return len(picks)

    def _send(self, version: str, picks: Sequence[Pick], config: LabelConfig) -> int:
        """Import predictions. Returns how many Label Studio accepted."""
        created = 0
        if self._our_versions is not None:
            self._our_versions.add(version)
        with_regions = self._preannotate and any(asks.label_type.has_regions for asks in config.questions)
        at_once = AT_ONCE_WITH_REGIONS if with_regions else AT_ONCE
        for start in range(0, len(picks), at_once):
            predictions = [self._prediction(version, pick, config) for pick in picks[start : start + at_once]]
            answer = self._ask("POST", f"{self._path}/import/predictions", json=predictions, seconds=SLOW)
            created += answer["created"]
        return created

    def _prediction(self, version: str, pick: Pick, config: LabelConfig) -> Row:
        result: list[Row] = []
        if self._preannotate:
            size = {"width": pick.width, "height": pick.height}
            result = config.result(pick.predictions, **size, least_region=self._least_region)
        return {"task": pick.task, "score": float(pick.score), "model_version": version, "result": result}


def fetch_limits(settings: Settings) -> FetchLimits:
    """The settings that bound the fetching of images."""
    return FetchLimits(
        bytes=int(settings.max_image_mb * 1_000_000),
        seconds=settings.fetch_timeout,
        private_addresses=settings.private_images,
    )


def _may_be_ours(model: Row) -> bool:
    """Whether a model may be this backend: Label Studio keeps the version from /setup, unless people set one."""
    version = str(model.get("model_version") or VERSIONS)
    return version.startswith(VERSIONS) or not model.get("auto_update", True)


def _state(row: Row, config: LabelConfig) -> TaskState:
    data, annotations = row.get("data"), row.get("annotations") or []
    cancelled = sum(isinstance(each, dict) and bool(each.get("was_cancelled")) for each in annotations)
    faults = [] if isinstance(data, dict) else [NO_OBJECT]
    answers = config.answers(annotations, faults)
    return TaskState(
        id=row["id"],
        image=config.image_of(data),
        version=_digest(data, annotations),
        answers=answers,
        skipped=bool(annotations) and not answers,  # Label Studio no longer serves it
        annotations=len(annotations) - cancelled,
        cancelled=cancelled,
        notes=tuple(dict.fromkeys(faults))[:NOTES],
        judgements=config.judgements(annotations),
    )


def _digest(data: Any, annotations: Sequence[Any]) -> str:
    """Changes exactly when the task's data or annotations change, not when its predictions do."""
    content = json.dumps([data, annotations], sort_keys=True).encode()
    return hashlib.blake2b(content, digest_size=12).hexdigest()
