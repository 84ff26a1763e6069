"""Where things are kept: ledger, blobs, traces."""
