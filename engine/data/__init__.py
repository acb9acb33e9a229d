"""Datasets: files in, columns on disk, arrays for training out. numpy and Pillow only.

    ingest                an uploaded file -> .npy columns and a manifest
    Dataset.open          those columns, memory-mapped
    columns.resolve       a job's `data` block and a manifest -> DataPlan (shapes known, nothing read)
    prepare               dataset and plan -> the arrays, splits and fitted preprocessing of a training run
    apply_preprocessing   raw values of new examples -> the model's inputs
"""

from engine.data import columns
from engine.data.apply import affine_of, apply_preprocessing
from engine.data.columns import DataPlan, InputSpec
from engine.data.dataset import Dataset
from engine.data.ingest import START_BYTES, check_options, ingest, read_format
from engine.data.prepare import Prepared, prepare
from engine.data.targets import TargetSpec

__all__ = [
    "START_BYTES", "DataPlan", "Dataset", "InputSpec", "Prepared", "TargetSpec", "affine_of", "apply_preprocessing",
    "check_options", "columns", "ingest", "prepare", "read_format",
]
