"""What can be asked of the server: a file per noun."""
