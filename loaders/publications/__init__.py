"""Published MSC trials in rheumatoid arthritis, and how sure we are of each statement about them."""
