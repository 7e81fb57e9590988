"""One file per selector or policy, named as its twin in runtime: how it is fitted."""
