"""Whatever is not labelled images: one sentence says what it looks like, and what is accepted."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.coloured_shapes import png

from pt4al_backend.datasets.other_formats import ACCEPTED, kind_of
from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.simulate import Source

OFFLINE = Settings(label_studio_url="", label_studio_api_key="")
IMAGE = png(np.zeros((2, 2, 3), dtype=np.uint8))
YOLO = "0 0.5 0.5 0.25 1\n12 0.1 0.2 0.3 0.4\n"
VOC = "<?xml version='1.0'?>\n<annotation>\n<folder>a</folder></annotation>"
COCO = {"info": {}, "images": [{"id": 0, "file_name": "1.png"}], "annotations": [], "categories": []}
TASK = {"id": 1, "data": {"image": "/1.png"}, "annotations": []}
TABLE = "image,id,choice,annotator\n/data/upload/1.png,1,cat,1\n/data/upload/2.png,2,dog,1\n"


def message(path: Path) -> str:
    """The sentence, less the directory that everything is in."""
    with pytest.raises(PT4ALError) as raised:
        Source(path).read(OFFLINE)
    said = str(raised.value)
    assert said.endswith(f": {ACCEPTED}.") and "\n" not in said
    return said.removesuffix(f": {ACCEPTED}.").replace(f"{path.parent}/", "")


def write(root: Path, **files: bytes | str) -> Path:
    """Files by their paths, in which __ stands for a slash and a single _ for a dot."""
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), "x")  # without the time: it is part of the tests' names
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "looks_like"),
    [
        ("export.csv", TABLE, "a CSV file"),
        ("export.txt", TABLE.replace(",", ";"), "a CSV file"),
        ("export.csv", TABLE.replace(",", "\t"), "a TSV file"),
        ("export.tsv", "image\tid\n", "a TSV file"),
        ("export.json", TABLE, "a CSV file"),
        ("1.txt", YOLO, "labels in the format YOLO"),
        ("data.yaml", "train: images\nnc: 2\nnames: [a, b]\n", "the description of a YOLO data set"),
        ("1.xml", VOC, "an annotation in the format Pascal VOC (XML)"),
        ("config.xml", '<View><Image name="image" value="$image"/></View>', "a label config"),
        ("export.zip", zipped("result.json"), "a ZIP archive, which has to be unpacked first"),
        ("export.zip", zipped("images/1.png", "labels/1.txt"), "a ZIP archive of a data set in the format YOLO"),
        ("export", zipped("Annotations/1.xml"), "a ZIP archive of a data set in the format Pascal VOC (XML)"),
        ("export.zip", zipped("images/1.png", "result.json"), "a ZIP archive of a data set in the format COCO"),
        (
            "export.zip",
            zipped("task-1-annotation-1-by-1-tag-a-0.png"),
            "a ZIP archive of Label Studio's export of",
        ),
        ("labels.xlsx", zipped("xl/workbook.xml"), "an Excel file"),
        ("export.tar.gz", b"\x1f\x8b\x08\x00", "an archive (gzip)"),
        ("data.parquet", b"PAR1\x00", "a Parquet file"),
        ("1.png", IMAGE, "a single image"),
        ("1", IMAGE, "a single image"),
        ("export.json", "", "an empty file"),
        ("export.json", " \n", "an empty file"),
        ("weights.bin", bytes(range(256)), "a file of another kind"),
        ("notes.txt", "cats and dogs\n", "a text file"),
        ("export.jsonl", f"{json.dumps(TASK)}\n{json.dumps(TASK)}\n", "JSON Lines, a task per line"),
    ],
)
def test_files_are_recognised_by_their_content(
    tmp_path: Path, name: str, content: bytes | str, looks_like: str
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    assert message(tmp_path / name).startswith(f"{name} looks like {looks_like}")


@pytest.mark.parametrize(
    ("content", "looks_like"),
    [
        (COCO, "annotations in the format COCO"),
        (TASK, "a single task"),
        ({"tasks": [TASK], "total": 1}, "a response of Label Studio's API"),
        ({"shapes": [], "imagePath": "1.png"}, "annotations of LabelMe"),
        ({"a": 1}, "a JSON object of another kind"),
        ([{"image": "/data/upload/1.png"}], "tasks to import, which have no labels"),
        (["1.png"], "a list of texts"),
    ],
)
def test_json_is_recognised_by_its_keys(tmp_path: Path, content: object, looks_like: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    assert message(path).endswith(f" but looks like {looks_like}")


def test_directories_are_recognised_by_their_names(tmp_path: Path) -> None:
    assert message(tmp_path / "none") == "none does not exist"
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    assert message(tmp_path / "empty") == "empty is an empty directory"
    yolo = write(tmp_path / "yolo", images__train__1_png=IMAGE, labels__train__1_txt=YOLO, labels__val__2_txt=YOLO)
    assert message(yolo) == "yolo looks like a data set in the format YOLO"
    for number in range(300):
        (yolo / "images" / "train" / f"{number}.png").touch()
    assert message(yolo) == "yolo looks like a data set in the format YOLO"
    split = write(tmp_path / "splits", train__images__1_png=IMAGE, val__images__2_png=IMAGE, train__labels__1_txt=YOLO)
    assert message(split) == "splits looks like a data set in the format YOLO"
    voc = write(tmp_path / "voc", JPEGImages__1_png=IMAGE, SegmentationClass__1_png=IMAGE, Annotations__1_xml=VOC)
    assert message(voc) == "voc looks like a data set in the format Pascal VOC (XML)"
    coco = write(tmp_path / "coco", images__1_png=IMAGE, annotations__instances_json="{}")
    assert message(coco) == "coco looks like a data set in the format COCO"
    parts = write(tmp_path / "parts", train__cat__1_png=IMAGE, test__cat__2_png=IMAGE)
    assert message(parts) == (
        "parts contains test and train, which are parts of a data set, not classes "
        "(name one of them, and another with --test)"
    )
    masks = write(tmp_path / "segmented", images__1_png=IMAGE, masks__1_png=IMAGE)
    assert message(masks) == "segmented contains images and masks, which are parts of a data set, not classes"
    loose = write(tmp_path / "loose", **{"1_png": IMAGE, "2_jpg": IMAGE})
    assert message(loose) == "loose contains images, but not in directories named by their classes"
    unpacked = write(tmp_path / "unpacked", export_json="[]")
    assert message(unpacked) == "unpacked is a directory (name the export in it: export.json)"
    assert message(write(tmp_path / "documents", notes_pdf="%PDF")) == "documents contains no images"


def test_what_may_be_readable_is_accepted(tmp_path: Path) -> None:
    """Whatever lies beside the images of two directories, and classes that are called as parts of data sets are."""
    mixed = write(
        tmp_path / "mixed", train__1_png=IMAGE, bus__1_png=IMAGE, bus__1_txt=YOLO, bus__1_xml=VOC, labels_csv=TABLE
    )
    assert kind_of(mixed) == ""
    assert len(Source(mixed).read(OFFLINE)[0]) == 2
    for name in ("export.json", "export.txt", "export"):
        (tmp_path / name).write_text(json.dumps([TASK]))
        assert kind_of(tmp_path / name) == ""
    (tmp_path / "windows.json").write_text(json.dumps([TASK], indent=2), encoding="utf-16")
    assert kind_of(tmp_path / "windows.json") == ""


def test_files_that_are_not_masks_are_named(tmp_path: Path) -> None:
    images = write(tmp_path / "images", **{"1_png": IMAGE})
    brush = write(tmp_path / "brush", **{"task-1-annotation-2-by-1-tag-cat-0_png": IMAGE})
    packed = write(tmp_path, masks_zip=zipped("1.png")) / "masks.zip"
    for masks, says in (
        (brush, "looks like Label Studio's export of brush labels"),
        (packed, "looks like a ZIP archive"),
    ):
        with pytest.raises(PT4ALError, match=says):
            Source(images, masks).read(OFFLINE)
    with pytest.raises(PT4ALError, match="looks like a ZIP archive"):
        Source(packed, images).read(OFFLINE)
