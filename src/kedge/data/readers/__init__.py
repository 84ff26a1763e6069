"""One file a kind of content: each reads rows out of bytes that nobody vouches for."""
