"""Templates of `premodel export --c`: C99 in which PREFIX, prefix and words between @ stand for what the bundle has."""
