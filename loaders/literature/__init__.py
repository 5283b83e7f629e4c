"""The literature source: what three documents state, as typed statements down to the character."""
