"""Energy meters: one file per kind, and how they are chosen, proved and used."""
