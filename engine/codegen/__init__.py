"""Code generation over llvmlite: vector loops, the host, scalar expressions, the object cache. Knows no ops."""
