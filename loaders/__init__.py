"""One folder a source: `source.toml` says what it is, `loader.py` turns its records into quads."""
