"""The images of exports: files next to them, or served over a real socket."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from support.exports import OFFLINE, read, two_of, write
from support.odd_servers import Asked, Reply, answering

from pt4al_backend.datasets.export_images import ExportImages, location
from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.settings import Settings


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("/data/upload/3/1f-a.png", "data/upload/3/1f-a.png"),
        ("/data/upload/3/1f-a.png", "1f-a.png"),
        ("/data/upload/3/1f-a.png", "images/1f-a.png"),
        ("http://localhost:8080/data/upload/3/1f-a.png", "1f-a.png"),
        ("/data/local-files/?d=pets/cat/1%20%C3%A4%23.png", "pets/cat/1 ä#.png"),
        ("/data/local-files/?d=pets/cat/1%20%C3%A4%23.png", "cat/1 ä#.png"),
        ("/data/local-files?d=pets/cat/1.png", "images/1.png"),
        ("http://localhost:8080/label/data/local-files/?d=/pets/1.png", "pets/1.png"),
        ("s3://bucket/pets/1.png", "pets/1.png"),
        ("https://example.com/pets/1%202.png?signature=secret", "images/1 2.png"),
        ("pets/100% #1.png", "pets/100% #1.png"),
    ],
)
def test_images_lie_beside_the_export(tmp_path: Path, value: str, file: str) -> None:
    write(tmp_path / file, b"cat")
    images = read(tmp_path, two_of([value, "/other.png"]))
    assert images.read(0) == b"cat"


def test_files_of_one_name_are_not_mixed_up(tmp_path: Path) -> None:
    write(tmp_path / "1.png", b"whose?")
    write(tmp_path / "images/dog/1.png", b"dog")
    images = read(tmp_path, two_of([f"/data/local-files/?d=pets/{name}/1.png" for name in ("cat", "dog")]))
    assert images.read(1) == b"dog"
    with pytest.raises(UnreadableImageError, match=r"pets/cat/1\.png"):
        images.read(0)
    write(tmp_path / "sub/1.png", b"below")
    images = read(tmp_path, two_of(["1.png", "sub/1.png"]))
    assert (images.read(0), images.read(1)) == (b"whose?", b"below")
    images = read(tmp_path, two_of(["s3://cats/1.png", "s3://dogs/1.png"]))
    for position in (0, 1):
        with pytest.raises(UnreadableImageError, match=r"no '1\.png'"):
            images.read(position)


@pytest.mark.parametrize(
    "value",
    [
        "../secret.png",
        "/../secret.png",
        "/data/local-files/?d=../secret.png",
        "/data/local-files/?d=%2e%2e/secret.png",
        "/data/local-files/?d=a/../../secret.png",
        "link.png",
        "folder/secret.png",
        "/%00.png",
        f"/{'a' * 5000}.png",
        "/circle.png",
        "/..",
        "/",
        "//[bad.png",
    ],
)
def test_nothing_outside_is_read(tmp_path: Path, value: str) -> None:
    inside = tmp_path / "inside"
    write(tmp_path / "secret.png", b"secret")
    write(inside / "a" / "other.png", b"")
    (inside / "link.png").symlink_to(tmp_path / "secret.png")
    (inside / "folder").symlink_to(tmp_path)
    (inside / "circle.png").symlink_to(inside / "circle.png")
    images = read(inside, two_of([value, "/other.png"]))
    with pytest.raises(UnreadableImageError, match="put the images next to the export, or set LABEL_STUDIO_URL"):
        images.read(0)


@pytest.mark.parametrize(
    ("value", "file"),
    [
        ("/data/local-files/?d=photos%5Ctrain%5C1.png", "photos/train/1.png"),
        ("/data/local-files/?d=photos%5Ctrain%5C1.png", "images/1.png"),
        ("/data/local-files/?d=photos\\train/1.png", "train/1.png"),
        ("/data/local-files/?d=C:%5Cphotos%5C1.png", "1.png"),
        ("/data/local-files/?d=photos%5Ctrain%5C1.png", "photos\\train\\1.png"),  # unzipped on another system
        ("http://localhost:8080/data/upload/3/a%5C1.png", "1.png"),
        ("C:\\photos\\1.png", "photos/1.png"),
        ("photos\\1.png", "photos/1.png"),
    ],
)
def test_images_of_windows_lie_beside_the_export(tmp_path: Path, value: str, file: str) -> None:
    write(tmp_path / file, b"cat")
    assert read(tmp_path, two_of([value, "/other.png"])).read(0) == b"cat"


@pytest.mark.parametrize("scheme", ["s3", "gs", "azure-blob", "S3"])
@pytest.mark.parametrize(
    "name", ["a#1.png", "a?1.png", "a%201.png", "a+1.png", "a 1.png", "a%2F1.png", "a&b=c;.png", "ä.png"]
)
def test_keys_of_storages_are_taken_as_they_are(tmp_path: Path, scheme: str, name: str) -> None:
    write(tmp_path / name, b"cat")
    write(tmp_path / "set" / f"{name}.png", b"another")
    assert read(tmp_path, two_of([f"{scheme}://bucket/set/{name}", "/other.png"])).read(0) == b"cat"
    uri = base64.urlsafe_b64encode(f"{scheme}://bucket/set/{name}".encode()).decode()
    for asked in (f"/tasks/7/resolve/?fileuri={uri}", f"http://localhost:8080/tasks/7/presign/?fileuri={uri}"):
        assert read(tmp_path, two_of([asked, "/other.png"])).read(0) == b"cat"


def test_data_uris_need_nothing_else(tmp_path: Path) -> None:
    uris = [f"data:image/png;base64,{base64.b64encode(name).decode()}" for name in (b"cat", b"dog")]
    images = read(tmp_path, two_of(uris))
    assert [images.read(0), images.read(1)] == [b"cat", b"dog"]


def test_what_is_not_on_disk_is_fetched(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(200, f"{asked.path} {asked.headers.get('authorization')}".encode(), {"Content-Type": "image/png"})

    with answering(answer) as studio, answering(answer) as elsewhere:
        tasks = two_of(["/data/upload/3/1.png", f"{elsewhere.url}/2.png"])
        home = Settings(label_studio_url=studio.url, label_studio_api_key="s3cret")
        images = read(tmp_path, tasks, home)
        assert images.read(0) == b"/data/upload/3/1.png Token s3cret"
        assert images.read(1) == b"/2.png None"
        without_token = read(tmp_path, tasks, Settings(label_studio_url=studio.url, label_studio_api_key=""))
        assert without_token.read(0) == b"/data/upload/3/1.png None"
        offline = read(tmp_path, tasks)
        assert offline.read(1) == b"/2.png None"
        with pytest.raises(UnreadableImageError, match="set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"):
            offline.read(0)
        write(tmp_path / "1.png", b"local")
        assert images.read(0) == b"local"


@pytest.mark.parametrize(
    ("image", "path"),
    [
        ("/data/upload/3/1f-a%20b.png?x=1#y", "data/upload/3/1f-a b.png"),
        ("/data/local-files/?d=pets/1%20b.png", "pets/1 b.png"),
        ("s3://bucket/pets/1%20b.png", "pets/1%20b.png"),
        ("pets\\1.png", "pets/1.png"),
        ("data:image/png;base64,AAAA", ""),
        ("/tasks/3/resolve/?fileuri=-", ""),
        ("http://[bad/1.png", ""),
    ],
)
def test_locations(image: str, path: str) -> None:
    assert location(image) == path


def test_names_of_images(tmp_path: Path) -> None:
    images = ExportImages.beside(tmp_path, [(3, "s3://bucket/1.png"), (4, "data:image/png;base64,AAAA")], OFFLINE)
    assert [images.name(position) for position in range(2)] == ["s3://bucket/1.png", "the image of task 4"]
