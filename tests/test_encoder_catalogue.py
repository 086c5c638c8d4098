"""What the catalogue says of encoders is what timm says."""

from __future__ import annotations

import pytest
import timm

from pt4al_backend import encoder_catalogue
from pt4al_backend.encoder_catalogue import BUILT_IN, FAMILIES, RECOMMENDED, about, licence_of, licence_text
from pt4al_backend.learning.built_in_weights import ARCHITECTURE

PUBLISHED = timm.list_pretrained()
NAMES = [encoder.name for encoder in RECOMMENDED if encoder.name != BUILT_IN]


def test_the_licence_of_every_recommended_encoder_is_known() -> None:
    assert [encoder.name for encoder in RECOMMENDED if licence_of(encoder.name) is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_recommended_encoder_is_published_by_timm(name: str) -> None:
    assert name in PUBLISHED


def test_licences_are_those_that_timm_names() -> None:
    other = {
        name: (licence.tag, tag)
        for name in PUBLISHED
        if (licence := licence_of(name)) and licence.tag != (tag := timm.models.get_pretrained_cfg(name).license)
    }
    assert other == {}


@pytest.mark.parametrize("family", [family for family, _ in FAMILIES])
def test_no_family_is_hidden_by_those_before_it(family: str) -> None:
    licence = dict(FAMILIES)[family]
    assert any(licence_of(name) is licence for name in [*PUBLISHED, BUILT_IN])


@pytest.mark.parametrize("encoder", [e for e in RECOMMENDED if e.side == 224], ids=lambda encoder: encoder.name)
def test_figures_are_those_of_the_network(encoder) -> None:
    model = timm.create_model(ARCHITECTURE if encoder.name == BUILT_IN else encoder.name)
    assert encoder.parameters == pytest.approx(sum(each.numel() for each in model.parameters()) / 1e6, abs=0.06)
    assert model.pretrained_cfg["input_size"][1] == encoder.side


def test_a_file_has_the_licence_of_the_network_in_front_of_it() -> None:
    assert about("vit_small_patch14_dinov2.lvd142m@/data/model.safetensors") == (
        True,
        "Its weights are under Apache-2.0.",
    )
    assert about("/data/model.safetensors") == (
        False,
        "The licence of its weights is not known here: read it before you use them.",
    )


def test_what_forbids_commercial_use_is_said() -> None:
    free, sentence = about("convnextv2_tiny.fcmae_ft_in22k_in1k")
    assert not free and sentence == "Its weights are under CC BY-NC 4.0, which forbids commercial use."
    assert not about("fastvit_mci0.apple_mclip")[0]
    free, sentence = about("vit_small_patch16_dinov3.lvd1689m")
    assert free and sentence.endswith("It has terms of its own: read them first.")


def test_the_licence_comes_with_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever passes weights under Apache-2.0 on has to pass on its text."""
    sentence, _, text = licence_text(BUILT_IN).partition("\n\n")
    assert sentence == about(BUILT_IN)[1]
    assert text.strip().startswith("Apache License") and "END OF TERMS AND CONDITIONS" in text
    for encoder in ("vit_small_patch16_dinov3.lvd1689m", "mine.safetensors", "convnextv2_tiny.fcmae"):
        assert licence_text(encoder) == about(encoder)[1]

    def missing(name: str) -> None:
        raise encoder_catalogue.PackageNotFoundError(name)

    monkeypatch.setattr(encoder_catalogue, "distribution", missing)
    assert licence_text(BUILT_IN).endswith("\n\nhttps://www.apache.org/licenses/LICENSE-2.0")
