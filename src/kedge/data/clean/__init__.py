"""Makes readable text of what was read: broken encodings, HTML, boilerplate, language."""
