"""What a premodel is worth: profile -> evaluation."""
