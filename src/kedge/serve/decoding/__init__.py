"""From messages to tokens and back: rendering, batches over a KV cache, choosing tokens, cutting text."""
