"""docs/openapi.json, as the code describes its routes.

Run as a program, it writes the file: `python -P tests/support/openapi_file.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

from pt4al_backend.web.openapi import document

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"


def openapi_text() -> str:
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(openapi_text())
