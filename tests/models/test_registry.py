"""Models by name."""

from __future__ import annotations

import inspect

import pytest

from fastcount.models import CountingModel, create_model, list_models, register
from fastcount.models.fcos import FCOS
from fastcount.models.mcnn import MCNN


def test_the_density_models_are_there() -> None:
    names = list_models()
    assert {"mcnn", "csrnet", "cannet", "deepcount"} <= set(names)
    assert names == sorted(names)


def test_a_model_knows_its_name_and_how_to_build_it_again() -> None:
    model = create_model("mcnn", sigma=4.0)
    assert model.name == "mcnn"
    assert model.config == {"sigma": 4.0}
    again = create_model(model.name, **model.config)
    assert isinstance(again, MCNN)
    assert again.sigma == 4.0


def test_a_model_built_by_its_class_knows_it_too() -> None:
    assert MCNN(sigma=4.0).config == {"sigma": 4.0}
    assert MCNN().config == {}
    small = FCOS(nms_threshold=0.4, channels=32)
    assert small.config == {"nms_threshold": 0.4, "channels": 32}


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(ValueError, match=r"no model is called 'csr-net'; the models are .*csrnet"):
        create_model("csr-net")


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        create_model("mcnn", colour="grey")


def test_weights_are_refused_where_a_model_has_none() -> None:
    with pytest.raises(TypeError, match="weights"):
        create_model("mcnn", weights="imagenet")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="'mcnn' is registered already"):
        register("mcnn")(MCNN)


@pytest.mark.parametrize("name", ["mcnn", "csrnet", "cannet", "deepcount"])
def test_every_argument_is_told_by_name(name: str) -> None:
    cls = type(create_model(name)) if name == "mcnn" else _class(name)
    assert issubclass(cls, CountingModel)
    parameters = list(inspect.signature(cls).parameters.values())
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters)


def _class(name: str) -> type:
    return type(create_model(name, width=0.05))
