"""Random changes of training pictures, one a file; see `engine.data.augmentation`."""
