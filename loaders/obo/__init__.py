"""Public ontology terms that our vocabulary maps to."""
