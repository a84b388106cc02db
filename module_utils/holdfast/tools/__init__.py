"""How backups are taken and restored, one module a tool."""
