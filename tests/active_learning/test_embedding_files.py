import numpy as np
import pytest
from support.colour_encoder import colour_encoder

from pt4al_backend.active_learning.embedding_files import EmbeddingFiles, adopt_old_names, file_names

ROWS = np.array([4, 0, 2])
VECTORS = np.arange(9, dtype=np.float16).reshape(3, 3)
PATCHES = np.arange(3 * 4 * 4 * 3, dtype=np.float16).reshape(3, 4 * 4 * 3)


@pytest.mark.parametrize("dense", [False, True])
def test_what_is_written_is_there_until_it_is_forgotten(tmp_path, dense):
    files = EmbeddingFiles.of(colour_encoder("colour", dense=dense), tmp_path)
    assert not files.has(ROWS).any()
    files.write(ROWS, VECTORS, PATCHES if dense else None)
    again = EmbeddingFiles.of(colour_encoder("colour", dense=dense), tmp_path)
    assert again.missing(np.arange(6)).tolist() == [1, 3, 5]
    assert np.array_equal(again.vectors.read(ROWS), VECTORS)
    if dense:
        assert np.array_equal(again.patches.read(ROWS), PATCHES)
    else:
        assert again.patches is None
    again.forget(np.array([2, 3]))
    assert files.missing(np.arange(6)).tolist() == [1, 2, 3, 5]


def test_an_image_without_its_patch_embeddings_is_missing(tmp_path):
    EmbeddingFiles.of(colour_encoder("colour", dense=False), tmp_path).write(ROWS, VECTORS, None)
    files = EmbeddingFiles.of(colour_encoder("colour", dense=True), tmp_path)
    assert files.missing(ROWS).tolist() == ROWS.tolist()


def test_files_are_named_after_the_encoder():
    assert file_names("main-3") == ("embeddings-main-3.bin", "patches-main-3.bin")


def test_every_encoder_has_files_of_its_own_in_the_directory():
    encoders = [
        "timm:resnet18",
        "timm-resnet18",
        "timm:vit_small_patch14_reg4_dinov2.lvd142m",
        "timm:resnet18@/a/b.safetensors",
        "timm:resnet18@/a-b.safetensors",
        "timm:resnet18@/" + 300 * "long/" + "model.safetensors",
    ]
    names = [name for encoder in encoders for name in file_names(encoder)]
    assert len(set(names)) == len(names) == 12
    assert all("/" not in name and len(name) < 120 for name in names)
    assert names[0].startswith("embeddings-timm-resnet18-")


def test_files_of_0_1_0_are_used_under_their_new_names(tmp_path):
    encoder = colour_encoder("main-2", dense=True)
    EmbeddingFiles.of(encoder, tmp_path).write(ROWS, VECTORS, PATCHES)
    (tmp_path / "embeddings-main-2.bin").rename(tmp_path / "features-main-2.bin")
    (tmp_path / "patches-main-2.bin").rename(tmp_path / "grid-main-2.bin")
    (tmp_path / "main-2.safetensors").write_bytes(b"")
    adopt_old_names(tmp_path)
    adopt_old_names(tmp_path / "missing")
    assert {path.name for path in tmp_path.iterdir()} == {*file_names("main-2"), "main-2.safetensors"}
    assert not len(EmbeddingFiles.of(encoder, tmp_path).missing(ROWS))
