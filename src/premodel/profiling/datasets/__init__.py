"""Forms of data sets."""
