"""A page with the map of made-up images, served with the headers of the real pages."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask, Response
from PIL import Image
from werkzeug.serving import make_server

import pt4al_backend
from pt4al_backend.web.security import add_headers

STATIC = Path(pt4al_backend.__file__).parent / "web" / "static"
PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Map</title>
  <link rel="icon" href="/static/icon.svg">
  <link rel="stylesheet" href="/static/dashboard.css">
  <link rel="stylesheet" href="/static/map.css">
  <script type="module" src="/static/map.js"></script>
</head>
<body>
<main>
  <h1>Images</h1>
  <section class="map" data-source="/map.json" aria-label="Map"></section>
</main>
</body>
</html>
"""
SIDE = 65535
Columns = dict[str, Any]


def columns(x: Any, y: Any, **more: Any) -> Columns:
    """The map of images at these places (n,), 0 to 65,535, about which nothing else is known; `more` changes that."""
    n = len(x)
    unknown = [-1] * n
    return {
        "task": list(range(1, n + 1)),
        "x": list(map(int, x)),
        "y": list(map(int, y)),
        "class": unknown,
        "batch": unknown,
        "uncertainty": unknown,
        "pretext_loss": unknown,
        "labelled": [0] * n,
        "queue": [],
        "classes": [],
        "batches": 0,
        "ranges": {"uncertainty": [0.0, 1.0], "pretext_loss": [0.0, 3.0]},
        "link": "/task/{task}",
        "thumbnail": "/thumbnail/{task}",
        **more,
    }


def clusters(n: int, classes: int, *, seed: int = 0) -> Columns:
    """The map of `n` images in so many clusters, with everything that a project in its fourth round knows of them."""
    random = np.random.default_rng(seed)
    of_class = random.choice(classes, n, p=random.dirichlet(np.full(classes, 3.0)))
    centres = random.normal(size=(classes, 2))
    spread = random.uniform(0.08, 0.25, (classes, 2))
    places = centres[of_class] + random.normal(size=(n, 2)) * spread[of_class]
    places -= places.min(axis=0)
    x, y = (places / places.max() * SIDE).T
    return columns(
        x,
        y,
        **{
            "task": (np.arange(n) + 1_000_000).tolist(),
            "class": of_class.tolist(),
            "batch": random.integers(0, 10, n).tolist(),
            "uncertainty": (1000 * random.beta(2, 5, n)).astype(int).tolist(),
            "pretext_loss": (1000 * random.beta(2, 8, n)).astype(int).tolist(),
            "labelled": (random.random(n) < 0.03).astype(int).tolist(),
            "queue": random.permutation(n)[:60].tolist(),
            "classes": [f"class {k}" for k in range(classes)],
            "batches": 10,
        },
    )


@dataclass
class MapServer:
    """What it serves may be changed."""

    columns: Columns
    url: str = ""
    status: int = 200
    asked: list[str] = field(default_factory=list)
    """The thumbnails and tasks that were asked for."""

    @property
    def body(self) -> bytes:
        """Of the answer with the map."""
        return json.dumps(self.columns, separators=(",", ":")).encode()


@contextmanager
def serve_map(shown: Columns) -> Iterator[MapServer]:
    served, app = MapServer(shown), Flask(__name__, static_folder=STATIC)

    @app.route("/")
    def page() -> str:
        return PAGE

    @app.route("/map.json")
    def data() -> Response:
        return Response(served.body, served.status, content_type="application/json")

    @app.route("/task/<int:task>")
    def task(task: int) -> str:
        served.asked.append(f"task {task}")
        return f"<!doctype html><title>Task {task}</title>"

    @app.route("/thumbnail/<int:task>")
    def thumbnail(task: int) -> Response:
        served.asked.append(f"thumbnail {task}")
        file, colour = io.BytesIO(), tuple(np.random.default_rng(task).integers(0, 256, 3).tolist())
        Image.new("RGB", (160, 120), colour).save(file, "PNG")
        return Response(file.getvalue(), content_type="image/png")

    app.after_request(add_headers)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    served.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
