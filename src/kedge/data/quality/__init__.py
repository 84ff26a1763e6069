"""What makes a text worth learning from: counts of each text, and rules that read them."""
