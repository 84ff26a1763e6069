"""Keys, signatures and the audit chain."""
