"""Training of selectors."""
