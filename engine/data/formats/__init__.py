"""Dataset formats, one a file; see `engine.data.format`."""
