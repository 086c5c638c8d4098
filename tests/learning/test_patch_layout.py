"""Patch embeddings: packed stage by stage, and what linear probes make of them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pt4al_backend.learning import Head, PatchLayout
from pt4al_backend.learning.heads import side_by_side
from pt4al_backend.learning.patch_layout import head_on_maps

FINE, COARSE = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(60.0).view(3, 5, 2, 2)
MAPS = [FINE, COARSE / 30]
LAYOUT = PatchLayout.of(MAPS, most=48)
STORED = LAYOUT.packed(MAPS).half().numpy()
HEAD = Head(np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32), np.array([1, 0, -1], dtype=np.float32))
TOGETHER = side_by_side(MAPS).permute(0, 2, 3, 1).numpy()
"""(3, 8, 8, 7): as a probe sees them."""


def test_each_stage_keeps_its_resolution():
    assert (LAYOUT.stages, LAYOUT.side, LAYOUT.channels) == (((8, 2), (2, 5)), 8, 7)
    assert STORED.shape == (3, LAYOUT.size) == (3, 8 * 8 * 2 + 2 * 2 * 5)
    np.testing.assert_allclose(STORED[:, -20:].reshape(3, 2, 2, 5)[0, 1, 0], MAPS[1][0, :, 1, 0], rtol=1e-3)


def test_maps_that_are_too_fine_are_averaged():
    layout = PatchLayout.of(MAPS, most=4)
    assert layout.stages == ((4, 2), (2, 5))
    cells = layout.packed(MAPS)[:, : 4 * 4 * 2].reshape(3, 4, 4, 2)
    torch.testing.assert_close(cells, F.avg_pool2d(FINE, 2).permute(0, 2, 3, 1))


@pytest.mark.parametrize("side", [4, 8, 20])
def test_logits_are_those_of_the_head_on_enlarged_stages(side):
    found = LAYOUT.logits(STORED, HEAD, side=side)
    assert found.shape == (3, side, side, 3) and found.dtype == np.float32
    enlarged = [F.interpolate(each, size=side, mode="bilinear") for each in MAPS]
    np.testing.assert_allclose(found, HEAD.logits(torch.cat(enlarged, 1).permute(0, 2, 3, 1).numpy()), atol=0.02)


def test_cells_are_what_a_probe_sees():
    positions = np.array([[0, 63, 9], [7, 56, 30], [1, 2, 3]])
    found = LAYOUT.cells(STORED, positions)
    expected = np.take_along_axis(TOGETHER.reshape(3, 64, 7), positions[..., None], axis=1)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_only_labelled_cells_are_drawn_while_there_are_enough():
    shares = np.zeros((3, 8, 8, 2), dtype=np.float32)
    shares[0, :4, :, 0] = shares[1, 0, :2, 1] = 1  # 32 cells, 2 cells, none
    cells, drawn = LAYOUT.sampled(STORED, shares, 5)
    assert cells.shape == (3, 5, 7) and drawn.shape == (3, 5, 2)
    assert drawn.sum(axis=(1, 2)).tolist() == [5, 2, 0]
    labelled = cells[1][drawn[1].any(axis=-1)]
    np.testing.assert_allclose(labelled, TOGETHER[1, 0, :2], atol=5e-3)
    again, _ = LAYOUT.sampled(STORED, shares, 5)
    assert np.array_equal(cells, again)
    assert LAYOUT.sampled(STORED, shares, 100)[0].shape == (3, 64, 7)


def test_a_head_on_maps_adds_up_what_each_stage_says():
    found = head_on_maps(HEAD, MAPS, side=8).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, HEAD.logits(TOGETHER), rtol=1e-4, atol=1e-5)
