"""Tokenizers and models: from scratch, full fine-tuning, LoRA."""
