"""Errors whose text is meant for people: what is wrong, and what to do about it."""

from __future__ import annotations


class PT4ALError(Exception):
    """Base of all errors that this package raises on purpose. The text is one or two plain sentences."""


class StoreError(PT4ALError):
    """The database or the data directory cannot be used right now; trying again later may help."""


class DataGoneError(StoreError):
    """The opened database is no longer in the data directory; it may come back."""


class DataReplacedError(StoreError):
    """Another database has replaced the one that was opened."""


class ProjectResetError(PT4ALError):
    """The project was reset while something was done for it."""

    def __init__(self, project_id: int) -> None:
        super().__init__(f"Project {project_id} was reset while it was worked on.")


class UnsupportedConfigError(PT4ALError):
    """The project's label config asks something PT4AL cannot learn."""


class LearningError(PT4ALError):
    """Training or prediction is impossible with the given data or settings."""


class UnreadableImageError(PT4ALError):
    """One image could not be fetched or decoded. Never fatal: the image is excluded, with this text as the reason."""


class LabelStudioError(PT4ALError):
    """Label Studio refused a request or sent a response that makes no sense."""


class LabelStudioUnavailableError(LabelStudioError):
    """Label Studio cannot be reached right now; trying again later may help.

    `status` is the HTTP status of its response, 0 if there was none.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ProjectGoneError(LabelStudioError):
    """The project no longer exists in Label Studio."""


class LabelStudioRefusedError(LabelStudioError):
    """Label Studio answered a request with the HTTP status `status`, one of the 400s."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
