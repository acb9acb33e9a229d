"""Code generation over llvmlite: a builder for vector loops, the host's features, scalar expressions, and the object
cache.

Knows no ops.
"""
