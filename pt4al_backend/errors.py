"""Errors whose text is meant for people: what is wrong, and what to do about it."""

from __future__ import annotations


class PT4ALError(Exception):
    """Base of all errors this package raises on purpose. Its text is one plain sentence or two."""


class StoreError(PT4ALError):
    """The database or the data directory cannot be used right now; trying again later may help."""


class DataGoneError(StoreError):
    """What was opened is no longer what is in the data directory, and may come back."""


class DataReplacedError(StoreError):
    """Another database has taken the place of the one that was opened."""


class UnsupportedConfigError(PT4ALError):
    """The project's label config asks something PT4AL cannot learn."""


class LearningError(PT4ALError):
    """Something cannot be learnt as asked."""


class UnreadableImageError(PT4ALError):
    """One image could not be fetched or decoded; it is set aside with this reason, never fatal."""


class LabelStudioError(PT4ALError):
    """Label Studio refused a request, or answered something that makes no sense."""


class LabelStudioUnavailableError(LabelStudioError):
    """Label Studio cannot be reached right now; trying again later may help.

    `status` is the HTTP error that it answered, 0 if it did not answer.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ProjectGoneError(LabelStudioError):
    """The project does not exist in Label Studio any more."""


class LabelStudioRefusedError(LabelStudioError):
    """Label Studio answered a request with an HTTP error of the 400s; `status` is which."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
