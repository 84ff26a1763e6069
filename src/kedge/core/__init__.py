"""The words of the domain: frozen types, errors and ports. No I/O, standard library only."""
