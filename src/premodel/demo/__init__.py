"""The embedded data set and its small bundled models."""
