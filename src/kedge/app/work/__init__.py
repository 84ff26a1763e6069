"""What a worker process runs for each step."""
