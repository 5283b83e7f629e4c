"""Nanopublications: see loader.py."""
