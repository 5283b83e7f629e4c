"""Reviews: what curators decided about findings, and about measures that count as others."""
