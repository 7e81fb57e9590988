"""`premodel zoo expand`: cheaper siblings of a zoo's models, made, checked and described."""
