"""The command `stoker`."""
