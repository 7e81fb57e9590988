"""Recipe: EfficientNet-Lite0, 1 and 2 from their packages on PyPI, as ONNX files with a manifest for premodel."""
