"""Features of texts: the eleven of the paper's follow-up, and a hashed bag of words."""
