"""What follows from the statements of the sources: contradictions found by rule, numbers derived.

Each module that adds to the graph is a pure function from `Reported` to quads of one graph; `kg.build` runs
them after inference.
"""
