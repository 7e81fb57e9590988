"""The Open Inference Protocol, for both directions."""
