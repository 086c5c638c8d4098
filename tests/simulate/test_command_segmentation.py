"""Simulations whose labels are masks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.drawn_masks import HEIGHT, QUICK, WIDTH, write_shapes
from support.simulating import Simulate, simulating

SMALL = ("--cycles", 2, "--query-size", 3, "--seeds", 1, "--device", "cpu")


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Simulate:
    """See `simulating`."""
    return simulating(monkeypatch, capsys, QUICK)


def test_masks_are_replayed(drawings: Path, tmp_path: Path, simulate: Simulate) -> None:
    arguments = (drawings / "images", "--masks", drawings / "masks", *SMALL, "--out", tmp_path / "out")
    done = simulate(*arguments)
    assert done.code == 0, done
    assert "images: mean IoU on 4 test images" in done.out
    assert "pt4al, seed 0: round 2, 6 labels, mean IoU" in done.out
    saved = json.loads((tmp_path / "out" / "results.json").read_text())
    expected = {"pool": 16, "test": 4, "classes": 3, "image_size": 32}
    assert expected.items() <= saved["config"].items()
    assert saved["config"]["recipe"]["main"]["dense"]
    assert [run["strategy"] for run in saved["runs"]] == ["pt4al", "random"]
    for run in saved["runs"]:
        for number, entry in enumerate(run["rounds"]):
            assert (entry["round"], entry["labels"]) == (number, 3 * (number + 1))
            assert 0 <= entry["mean_iou"] <= 1 and 0 <= entry["network_mean_iou"] <= 1
            assert entry["labelled_pixels"] == entry["labels"] * HEIGHT * (WIDTH - 4)
            assert 0 < entry["border_length"] < entry["labelled_pixels"]
            assert len(set(entry["images"])) == entry["labels"]
    assert saved["summary"]["pt4al"]["final"] == 100 * saved["runs"][0]["rounds"][-1]["mean_iou"]
    assert "mean IoU" in (tmp_path / "out" / "curves.svg").read_text()

    before = (tmp_path / "out" / "results.json").read_bytes()
    assert simulate(*arguments).code == 0
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_other_masks_may_be_measured_on(drawings: Path, tmp_path: Path, simulate: Simulate) -> None:
    test = write_shapes(tmp_path / "test", 5)
    arguments = (drawings / "images", "--masks", drawings / "masks", "--test", test / "images", *SMALL)
    out = tmp_path / "out"
    done = simulate(*arguments, "--test-masks", test / "masks", "--strategies", "random", "--out", out)
    assert done.code == 0, done
    config = json.loads((out / "results.json").read_text())["config"]
    assert (config["pool"], config["test"]) == (20, 5)


def test_wrong_masks_are_one_sentence(drawings: Path, tmp_path: Path, simulate: Simulate) -> None:
    folder = write_shapes(tmp_path / "folder", 4)
    images, masks = folder / "images", folder / "masks"

    def refused(*arguments: object) -> str:
        """What is said before anything is done."""
        done = simulate(*arguments, *SMALL, "--out", tmp_path / "out")
        assert done.code == 1, done
        assert "Traceback" not in done.error and done.error.count("\n") == 1 and done.out == ""
        assert not (tmp_path / "out").exists()
        return done.error

    assert f"{tmp_path / 'none'} does not exist" in refused(images, "--masks", tmp_path / "none")
    assert f"{tmp_path / 'none'} does not exist" in refused(tmp_path / "none", "--masks", masks)
    (tmp_path / "empty").mkdir()
    assert "No image in" in refused(images, "--masks", tmp_path / "empty")
    assert "not in directories named by their classes" in refused(images)  # --masks was forgotten

    test = ("--test", drawings / "images")
    both = "need the same kind of labels as the others: use --test-masks together with --masks"
    classes = tmp_path / "classes"
    for name, image in zip(("disc", "square"), sorted(images.iterdir()), strict=False):
        (classes / name).mkdir(parents=True)
        (classes / name / "1.png").write_bytes(image.read_bytes())
    assert both in refused(images, "--masks", masks, "--test", classes)
    assert both in refused(classes, *test, "--test-masks", drawings / "masks")
    assert "--test-masks needs --test" in refused(images, "--masks", masks, "--test-masks", masks)
    (masks / "classes.txt").write_text("disc\nsquare\nnothing")
    other = refused(images, "--masks", masks, *test, "--test-masks", drawings / "masks")
    assert "other classes than the training images: annotate both" in other
    assert "3 images from each of 2 batches are more than the pool of 3" in refused(images, "--masks", masks)

    for path in sorted(images.iterdir())[1:]:
        path.unlink()
    assert "too few images to reserve some for measuring" in refused(images, "--masks", masks).lower()
    (masks / "00.png").write_bytes((images / "00.png").read_bytes())
    assert f"{masks / '00.png'} is not a mask: its pixels have to be class numbers" in refused(images, "--masks", masks)
    (masks / "00.png").write_bytes(b"torn")
    assert f"{masks / '00.png'} cannot be read as a PNG file" in refused(images, "--masks", masks)
