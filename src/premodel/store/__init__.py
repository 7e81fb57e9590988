"""The store of a profile: schema and connections."""
