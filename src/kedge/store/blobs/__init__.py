"""Content-addressed bytes in an OCI image layout."""
