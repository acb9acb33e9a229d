"""Datasets: files in, columns on disk, arrays for training out. numpy and Pillow only.

    ingest            an uploaded file -> .npy columns and a manifest
    Dataset.open      those columns, memory-mapped
    columns.resolve   a job's `data` block and a manifest -> DataPlan (shapes known, nothing read)
    prepare           dataset and plan -> the arrays, splits and fitted preprocessing of a training run
    apply_preprocessing   raw values of new examples -> the model's inputs
"""
