"""Where backups live, for tools that bring no repository of their own."""
