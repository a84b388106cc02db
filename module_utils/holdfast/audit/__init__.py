"""Who can do what on a server, and what of it should not be so."""
