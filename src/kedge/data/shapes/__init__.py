"""The shapes that examples come in, recognised and made one."""
