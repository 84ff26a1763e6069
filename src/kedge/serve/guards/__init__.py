"""Guards before and behind a model, found through entry points of the group `kedge.guards`."""
