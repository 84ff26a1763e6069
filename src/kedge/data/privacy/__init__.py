"""What names a person in a text: found, and dropped, masked or replaced; and an index of it for later erasure."""
