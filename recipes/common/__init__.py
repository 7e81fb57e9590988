"""What the recipes share: one training loop and one export to ONNX."""
