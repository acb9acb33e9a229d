"""What a weight must satisfy after every update. Names, options and defaults are Keras 3's."""
