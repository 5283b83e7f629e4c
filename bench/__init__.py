"""What is measured, how, and against what: `python -m bench [build|loaders|memory|http …]`.

Each measurement prints rows and appends them to `bench/results/<name>.csv` with commit and machine size.
Figures are ratios against a peer or the engine's own limit measured in the same run wherever there is one.
"""
