"""The ontology's reference for readers: static pages, and pictures of the main patterns."""

from kg.reference.pages import Written, write_reference
from kg.reference.pictures import draw_all, read_pictures

__all__ = ["Written", "draw_all", "read_pictures", "write_reference"]
