"""Preprocessing steps, one a file; see `engine.data.transform`."""
