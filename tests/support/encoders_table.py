"""The table in docs/encoders.md, as the catalogue makes it.

Run as a program, it writes the table into the page: `python -P tests/support/encoders_table.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

from pt4al_backend.encoder_catalogue import RECOMMENDED, licence_of

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"
SOURCES = {
    "timm": "https://github.com/huggingface/pytorch-image-models/blob/main/results/results-imagenet.csv",
    "DINOv2": "https://github.com/facebookresearch/dinov2",
    "DINOv3": "https://github.com/facebookresearch/dinov3",
    "SigLIP 2": "https://arxiv.org/abs/2502.14786",
}


def encoders_table() -> str:
    rows = [
        "| `PT4AL_ENCODER` | parameters, millions | GMACs at px | ImageNet, % | licence of the weights | good for |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for encoder in RECOMMENDED:
        licence, use = licence_of(encoder.name), encoder.good_for
        rows.append(
            f"| `{encoder.name}` | {encoder.parameters:g} | {encoder.gmacs:g} at {encoder.side} | {encoder.accuracy} "
            f"([{encoder.source}]({SOURCES[encoder.source]})) | {licence.name if licence else ''} | {use} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    page, table = PAGE.read_text(), re.compile(r"^\| `PT4AL_ENC.*\n(?:\|.*\n)+", flags=re.M)
    PAGE.write_text(table.sub(lambda _: encoders_table() + "\n", page, count=1))
