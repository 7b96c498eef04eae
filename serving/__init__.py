"""What runs behind an endpoint: a fetcher of the artefact, and an ONNX Runtime server (Open Inference Protocol v2)."""
