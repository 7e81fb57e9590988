"""What profiling on many machines depends on."""
