"""Methods of others that need no further package, on the same tables, folds and costs as premodels."""
