"""Which key of an export's tasks is the image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.exports import UPLOADS, annotation, labelled, read, region, task, write

from pt4al_backend.datasets.export_keys import frequent, image_key, is_address, is_below, is_rare
from pt4al_backend.errors import PT4ALError


def test_the_image_is_distinguished_from_other_data(tmp_path: Path) -> None:
    other = {"filename": "a.png", "page": "https://example.com/a.html", "width": 640, "notes": "nice"}
    tasks = [labelled(image, label, **other) for image, label in zip(UPLOADS, ("cat", "dog"), strict=True)]
    tasks[1]["data"]["notes"] = "see https://example.com"
    tasks.append(labelled("", "cat") | {"data": {"$undefined$": "/data/upload/3/3.png"}})
    for name in ("1f-a.png", "2e-b.png", "3.png"):
        write(tmp_path / name, name.encode())
    images = read(tmp_path, tasks)
    assert [images.read(position) for position in range(3)] == [b"1f-a.png", b"2e-b.png", b"3.png"]


@pytest.mark.parametrize(
    "data",
    [
        {"photo": {"files": [{"url": "/data/upload/3/1f-a.png", "page": "https://example.com/a"}]}},
        {"image": ["/data/upload/3/1f-a.png"]},
        {"image": {"big": "/data/upload/3/1f-a.png"}, "title": ["a", "b"]},
        {"image": "/data/upload/3/1f-a.png", "page": "https://example.com/products/7"},
        {"picture": "/data/upload/3/1f-a.png", "page": "https://example.com/products/7", "more": ["https://x.org/1"]},
        {"image": "/data/upload/3/1f-a.png", "thumbnail": "/data/upload/3/small.png"},
        {"image": "1f-a.png", "name": "cat"},
    ],
)
def test_the_image_is_found_in_nested_data_and_beside_links(tmp_path: Path, data: dict[str, Any]) -> None:
    write(tmp_path / "1f-a.png", b"cat")
    tasks = [task("", annotation(region(label))) | {"data": data} for label in ("cat", "dog")]
    assert read(tmp_path, tasks).read(1) == b"cat"


def test_several_images_in_a_task_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match=r"several images each, as a list \(pages\)"):
        read(tmp_path, [labelled("", "cat") | {"data": {"pages": ["/1.png", "/2.png"]}}])


def test_rare_is_less_than_a_tenth() -> None:
    assert not is_rare(4, 40) and is_rare(3, 40)
    assert frequent(Counter(often=40, sometimes=4, rarely=3)) == {"often", "sometimes"}
    assert frequent(Counter()) == set()


@pytest.mark.parametrize(
    ("rows", "asked", "key"),
    [
        ([{"image": "/a.png", "text": "a"}], (), "image"),
        ([{"one": "/a.png", "two": "/b.png"}], {"two"}, "two"),
        ([{"photo": {"files": [{"url": "s3://bucket/a.png"}]}}], (), "photo.files[0].url"),
        ([{"$undefined$": "/a.png"}, {"image": "/b.png"}], (), "image"),
        ([{"$undefined$": "/a.png"}], (), "$undefined$"),
        ([{"page": "https://example.com/a.html", "image": "https://example.com/a"}], (), "image"),
        ([{"name": "a.png", "image": "data:image/png;base64,AAAA"}], (), "image"),
    ],
)
def test_the_key_of_the_image(rows: list[dict[str, Any]], asked: set[str], key: str) -> None:
    assert image_key(rows, asked=asked) == key


def test_two_keys_that_are_as_likely_are_an_error() -> None:
    for asked in ((), {"one", "two"}):
        with pytest.raises(PT4ALError, match=r"look like images \(one, two\): remove all but one"):
            image_key([{"one": "/a.png", "two": "/b.png"}], asked=asked)


@pytest.mark.parametrize(
    ("value", "likely"),
    [
        ("https://example.com/a", True),
        ("gs://bucket/a", True),
        ("https://example.com/a.html", False),
        ("/sounds/a.mp3", False),
        ("a.png", False),
        ("data:text/plain,a", False),
    ],
)
def test_addresses_that_may_be_images(value: str, likely: bool) -> None:
    assert is_address(value) is likely


def test_paths_below_a_key() -> None:
    assert is_below("photo", "photo") and is_below("photo.url", "photo") and is_below("photo[0]", "photo")
    assert not is_below("photos", "photo") and not is_below("pho", "photo")
