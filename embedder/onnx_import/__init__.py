"""A network in an ONNX file of others, with facts stated by the user -> a bundle. It stands above the core."""
