"""The types in the interface of `learning` are plain values and protocols that arrays fit."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict

import pytest
from support.networks import ArrayMasks, MemoryCheckpoint, noise

from pt4al_backend.learning.output_types import OUTPUT_TYPES
from pt4al_backend.learning.types import IGNORE, Checkpoint, Images, Masks, Output


@pytest.mark.parametrize("kind", OUTPUT_TYPES)
def test_an_output_can_be_rebuilt_from_its_json(kind: str) -> None:
    output = Output(kind, 3)
    assert Output(**json.loads(json.dumps(asdict(output)))) == output
    with pytest.raises(FrozenInstanceError):
        output.classes = 4  # type: ignore[misc]


def test_ignored_pixels_have_a_value_that_no_class_has() -> None:
    assert IGNORE == 255


def test_arrays_fit_the_protocols() -> None:
    images: Images = noise(3, size=8)
    masks: Masks = ArrayMasks(noise(3, size=4).pixels[..., 0])
    checkpoint: Checkpoint = MemoryCheckpoint()
    rows = images.read(masks.read(range(2))[:, 0, 0] * 0)  # type: ignore[arg-type]
    assert images.size == 8 and rows.shape == (2, 8, 8, 3) and checkpoint.load() is None
