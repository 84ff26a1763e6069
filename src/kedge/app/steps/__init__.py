"""What a stage can be: light declarations."""
