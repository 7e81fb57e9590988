"""One file per selector: features -> one score per candidate. Plain arrays, evaluated with numpy."""
