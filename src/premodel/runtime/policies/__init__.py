"""One file per policy: how scores become an answer."""
