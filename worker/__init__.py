"""Takes work from the store under a lease, and does it on the engine."""
