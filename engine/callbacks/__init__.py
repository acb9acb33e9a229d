"""What acts on training from the host, between epochs. Names, options and defaults are Keras 3's."""

from engine.callbacks.base import Action, Callback, State

__all__ = ["Action", "Callback", "State"]
