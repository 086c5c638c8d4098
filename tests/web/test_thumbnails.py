"""Small images."""

from __future__ import annotations

import io

import numpy as np
from flask.testing import FlaskClient
from PIL import Image
from support.filled_store import add_ranked

from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store


def test_a_thumbnail_has_the_proportions_of_the_file(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    assert client.get(f"/dashboard/{project.id}/thumbnails/1").status_code == 404
    store.update(project.id, image_size=32)
    rows = store.reserve_rows(project.id, [1])
    PixelStore(store.pixels_dir(project.id), size=32).write(rows, np.full((1, 32, 32, 3), 200, np.uint8))
    store.images_done(project.id, ready={1: ("/data/upload/1.png", 400, 100)}, failed={})
    answer = client.get(f"/dashboard/{project.id}/thumbnails/1")
    assert answer.mimetype == "image/webp"
    assert Image.open(io.BytesIO(answer.data)).size == (192, 48)
    again = client.get(f"/dashboard/{project.id}/thumbnails/1", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_an_image_whose_pixels_were_deleted_has_none(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    store.update(project.id, image_size=32)
    store.reserve_rows(project.id, [1])
    store.images_done(project.id, ready={1: ("/data/upload/1.png", 400, 100)}, failed={})
    assert client.get(f"/dashboard/{project.id}/thumbnails/1").status_code == 404
