"""What a dataset is like, and how it differs from another: as numbers, and as a page that needs nothing but itself."""
