"""Images are embedded in a thread, as many at a time as have been decoded."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np
import pytest
from support.colour_encoder import ColourEncoder, colour_encoder

from pt4al_backend.active_learning.embed_decoded import EmbeddedImage, Embedder, stacked
from pt4al_backend.errors import LearningError, UnreadableImageError
from pt4al_backend.store.decoders import DecodedImage


@dataclass(frozen=True, kw_only=True)
class SlowEncoder(ColourEncoder):
    """Waits before each chunk until it may go on, and remembers how many images there were."""

    go_on: Event
    chunks: list[int]

    def embed_pixels(self, pixels: Any, *, device: str) -> Any:
        self.go_on.wait(10)
        self.chunks.append(len(pixels))
        return super().embed_pixels(pixels, device=device)


@dataclass(frozen=True, kw_only=True)
class BrokenEncoder(ColourEncoder):
    error: Exception

    def embed_pixels(self, pixels: Any, *, device: str) -> Any:
        raise self.error


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


def decoded(brightness: int, *, side: int = 8, others: tuple[int, ...] = ()) -> Future[DecodedImage]:
    image: Future[DecodedImage] = Future()
    pixels = [np.full((each, each, 3), brightness, np.uint8) for each in (side, *others)]
    image.set_result(DecodedImage(pixels[0], 40, 30, "a note", tuple(pixels[1:])))
    return image


@pytest.mark.parametrize("dense", [False, True])
def test_an_image_comes_back_with_its_embedding(thread: ThreadPoolExecutor, dense: bool) -> None:
    encoder = colour_encoder("colour", dense=dense)
    embedder = Embedder(encoder, device="cpu", thread=thread)
    assert embedder.input_size == 8
    small = decoded(200, side=4).result()
    both: Future[DecodedImage] = Future()
    both.set_result(replace(decoded(9, side=4).result(), others=(decoded(200).result().pixels,)))
    image = embedder.embed(both).result(10)
    assert isinstance(image, EmbeddedImage)
    assert (image.width, image.height, image.note, image.others) == (40, 30, "a note", ())
    assert image.pixels.shape == (4, 4, 3) and image.pixels.max() == 9
    expected, patches = encoder.embed_pixels(small.pixels[None], device="cpu")  # the last size is the encoder's
    np.testing.assert_allclose(image.vector, expected[0], atol=0.01)
    vectors, cells = stacked([image, image])
    assert vectors.shape == (2, 3)
    if dense:
        assert cells is not None and patches is not None and cells.shape == (2, 4 * 4 * 3)
    else:
        assert cells is None and image.patches is None


def test_images_that_wait_are_embedded_together(thread: ThreadPoolExecutor) -> None:
    go_on, chunks = Event(), list[int]()
    slow = SlowEncoder(name="slow", dimension=3, patches=None, input_size=8, step=6, go_on=go_on, chunks=chunks)
    embedder = Embedder(slow, device="cpu", thread=thread)
    results = [embedder.embed(decoded(k)) for k in range(16)]
    go_on.set()
    done, _ = wait(results, 10)
    assert len(done) == 16 and sum(chunks) == 16
    assert chunks[1:] == [6, 6, 3] or chunks[0] > 1  # the first was alone when the thread began
    assert max(chunks) <= 6
    shades = [result.result().vector[0] for result in results]  # type: ignore[attr-defined]
    assert shades == sorted(shades)


def test_what_cannot_be_decoded_is_passed_on(thread: ThreadPoolExecutor) -> None:
    embedder = Embedder(colour_encoder("colour", dense=False), device="cpu", thread=thread)
    torn: Future[DecodedImage] = Future()
    torn.set_exception(UnreadableImageError("torn"))
    with pytest.raises(UnreadableImageError, match="torn"):
        embedder.embed(torn).result(10)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("out of memory"), r"The encoder broken fails \(RuntimeError: out of memory\): choose another"),
        (LearningError("Its weights are gone."), "Its weights are gone."),
    ],
)
def test_an_encoder_that_fails_is_not_the_fault_of_an_image(
    thread: ThreadPoolExecutor, error: Exception, sentence: str
) -> None:
    broken = BrokenEncoder(name="broken", dimension=3, patches=None, input_size=8, error=error)
    with pytest.raises(LearningError, match=sentence):
        Embedder(broken, device="cpu", thread=thread).embed(decoded(1)).result(10)


def test_a_job_that_has_ended_leaves_nothing_to_wait_for() -> None:
    executor = ThreadPoolExecutor(1)
    embedder = Embedder(colour_encoder("colour", dense=False), device="cpu", thread=executor)
    executor.shutdown()
    assert embedder.embed(decoded(1)).cancelled()
    cancelled: Future[DecodedImage] = Future()
    cancelled.cancel()
    assert embedder.embed(cancelled).cancelled()
