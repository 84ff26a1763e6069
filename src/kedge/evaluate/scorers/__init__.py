"""What a case can be scored by, one file a family; found by name in the catalogue `kedge.scorers`."""
