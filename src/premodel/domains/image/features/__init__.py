"""Features: cheap numbers computed from one decoded image before any model runs (paper section 3.4, Table 2).

`extractor` is the door. `base` is the contract of a feature family, `intermediates` holds what families share,
`registry` lists the families, `costs` prices a subset of features; every other file is one family of features.
"""
