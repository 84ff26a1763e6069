"""Places beside this machine's own processes where parts are read."""
