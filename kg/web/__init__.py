"""HTTP over an engine: the SPARQL protocol, pages for people, errors that help."""
