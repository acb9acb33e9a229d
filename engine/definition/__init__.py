"""Definitions: what a user writes, checked and complete.

`parse_model` reads a model (native or Keras 3's JSON), `parse_job` everything that a training needs. Both raise
DefinitionError with every fault and its JSON Pointer; both results write themselves with all defaults filled in, and
reading that again gives an equal result.
"""

from engine.definition.job import JobSpec, parse_job
from engine.definition.model import LayerNode, Model, parse_model
from engine.definition.training import Checkpoints, Resources, Training

__all__ = ["Checkpoints", "JobSpec", "LayerNode", "Model", "Resources", "Training", "parse_job", "parse_model"]
