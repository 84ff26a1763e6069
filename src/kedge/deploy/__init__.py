"""The control plane: promotion, release, rollback."""
