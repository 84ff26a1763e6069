"""The relational record, one module an aggregate."""
