"""Model families: every one assembles for its own sample, and has the size that its paper says."""

from __future__ import annotations

from math import prod

import pytest

from engine import registry
from engine.definition.model import parse_model
from engine.errors import DefinitionError
from engine.graph.build import forward_graph

TEMPLATES = registry.entries("template")
REQUIRED = {"classes": 10, "features": 30, "vocabulary": 50}


def document(name: str, **options: object) -> dict[str, object]:
    cls = TEMPLATES[name]
    needed = {option: value for option, value in REQUIRED.items() if option in cls.__dataclass_fields__}  # type: ignore[attr-defined]
    inputs = {source: {"shape": list(shape)} for source, shape in cls.sample}  # type: ignore[attr-defined]
    return {"template": name, "inputs": inputs, **needed, **options}


def parameters(name: str, **options: object) -> int:
    """Trainable numbers of the family."""
    _, net = forward_graph(parse_model(document(name, **options)))
    return sum(prod(variable.shape) for variable in net.variables if variable.trainable)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_assembles_and_is_a_native_definition(name):
    model = parse_model(document(name))
    assert parse_model(model.to_json()) == model
    assert model.name == name


@pytest.mark.parametrize(("name", "options", "published"), [
    ("resnet20", {}, 0.27e6), ("resnet32", {}, 0.46e6), ("resnet56", {}, 0.85e6),
    ("resnet18", {"classes": 1000}, 11.69e6), ("wide_resnet_16_4", {}, 2.7e6),
    ("mobilenet_v1", {"classes": 1000}, 4.2e6), ("mobilenet_v2", {"classes": 1000}, 3.5e6), ("lenet5", {}, 61.7e3)])
def test_sizes_are_those_that_were_published(name, options, published):
    assert parameters(name, **options) == pytest.approx(published, rel=0.03)


def test_options_change_the_model():
    assert parameters("mobilenet_v1", width=0.5) < parameters("mobilenet_v1") / 2
    logits = parse_model(document("mlp", classifier_activation=None))
    assert logits.layers[-1].layer.activation is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(("change", "pointer", "detail"), [
    ({"template": "resnet200"}, "/model/template", "did you mean 'resnet20'"),
    ({"template": 7}, "/model/template", "one of "),
    ({"classes": 0}, "/model/classes", "at least 1"),
    ({"widht": 2}, "/model/widht", "classes"),
    ({"inputs": {"image": {"shape": [2, 2]}}}, "/model/template", "rank 4"),
    ({"inputs": {"a": {"shape": [32, 32, 3]}, "b": {"shape": [3]}}}, "/model", "of the 2 inputs")])
def test_faults_stand_in_what_the_user_wrote(change, pointer, detail):
    with pytest.raises(DefinitionError) as caught:
        parse_model({**document("resnet20"), **change})
    fault = caught.value.faults[0]
    assert fault.pointer.startswith(pointer) and detail in fault.detail, fault


def test_without_inputs_the_data_decides():
    with pytest.raises(DefinitionError, match="only a job's data can supply it"):
        parse_model({"template": "resnet20", "classes": 10})
