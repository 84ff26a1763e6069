"""What gates found, in the formats that build servers read."""
