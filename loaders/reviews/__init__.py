"""Reviews: what curators decided about findings."""
