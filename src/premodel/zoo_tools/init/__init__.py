"""Writing a manifest for models of one's own: what the files say, and the preprocessing that labelled images reveal."""
