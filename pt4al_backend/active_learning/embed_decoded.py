"""Embed images as they are decoded, while others are still being fetched and decoded."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.errors import LearningError, PT4ALError
from pt4al_backend.store.decoders import DecodedImage

Half = NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class EmbeddedImage(DecodedImage):
    """A decoded image, only at the first of its sizes, and its embedding."""

    vector: Half
    """(D,)"""
    patches: Half | None
    """(size,); None if the encoder gives none."""


class Embedder:
    """Embeds in a thread of its own, as many images at a time as wait for it."""

    def __init__(self, encoder: learning.Encoder, *, device: str, thread: ThreadPoolExecutor) -> None:
        self._encoder, self._device, self._thread = encoder, device, thread
        self._at_a_time = encoder.images_per_step(device)
        self._waiting: queue.SimpleQueue[tuple[DecodedImage, Future[DecodedImage]]] = queue.SimpleQueue()

    @property
    def input_size(self) -> int:
        """The side in pixels at which images are to be embedded."""
        return self._encoder.input_size

    def embed(self, decoding: Future[DecodedImage]) -> Future[DecodedImage]:
        """Embed an image once it is decoded, at the last of its sizes: an `EmbeddedImage`, or the error of decoding."""
        result: Future[DecodedImage] = Future()

        def decoded(_: Future[DecodedImage]) -> None:
            if decoding.cancelled():
                result.cancel()
            elif error := decoding.exception():
                if result.set_running_or_notify_cancel():
                    result.set_exception(error)
            else:
                self._waiting.put((decoding.result(), result))
                try:
                    self._thread.submit(self._embed_waiting)
                except RuntimeError:  # the job has ended
                    result.cancel()

        decoding.add_done_callback(decoded)
        return result

    def _embed_waiting(self) -> None:
        images: list[DecodedImage] = []
        results: list[Future[DecodedImage]] = []
        while len(images) < self._at_a_time and not self._waiting.empty():  # only this thread takes from it
            image, result = self._waiting.get()
            if result.set_running_or_notify_cancel():
                images.append(image)
                results.append(result)
        if not images:
            return
        try:
            vectors, patches = self._encoder.embed_pixels(
                np.stack([(image.pixels, *image.others)[-1] for image in images]), device=self._device
            )
        except Exception as error:  # of whatever library; it must not be taken for an error of these images
            for result in results:
                result.set_exception(error if isinstance(error, PT4ALError) else _blamed_on(self._encoder, error))
        else:
            for place, (image, result) in enumerate(zip(images, results, strict=True)):
                cells = None if patches is None else patches[place]
                decoded = vars(image) | {"others": ()}
                result.set_result(EmbeddedImage(**decoded, vector=vectors[place], patches=cells))


def _blamed_on(encoder: learning.Encoder, error: Exception) -> LearningError:
    sentence = LearningError(
        f"The encoder {encoder.name} fails ({type(error).__name__}: {error}): choose another with PT4AL_ENCODER."
    )
    sentence.__cause__ = error
    return sentence


def stacked(images: Sequence[EmbeddedImage]) -> tuple[Half, Half | None]:
    """Embeddings (n, D) and patch embeddings (n, size) of images, as `EmbeddingFiles.write` takes them."""
    patches = [image.patches for image in images if image.patches is not None]
    return np.stack([image.vector for image in images]), np.stack(patches) if patches else None
