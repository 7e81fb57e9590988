"""The report: one self-contained HTML page made of an evaluation, pictures, real runs and the timings behind them."""
