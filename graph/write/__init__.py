"""Documents written down in other forms, such as the editor's."""
