"""What follows from the statements of the sources: contradictions found by rule, numbers derived."""
