"""What a database server is, one module an engine, and the table that says which tools serve it."""
