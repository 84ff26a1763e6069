"""The data plane: gateway and engines."""
