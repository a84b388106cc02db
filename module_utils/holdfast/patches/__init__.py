"""Patches: what is due on a host, how it gets there and back again, and what scanners say of it."""
