"""Every schema of the ledger ever released, and the way from each to the next."""
