"""Mappings of the terms we use to the terms of other vocabularies."""
