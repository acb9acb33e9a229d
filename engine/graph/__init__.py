"""The static computation graph: values, nodes, and how they are built, printed and verified."""
