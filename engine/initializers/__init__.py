"""First values of a layer's variables. Names, options and defaults are Keras 3's."""
