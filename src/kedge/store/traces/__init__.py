"""Requests and answers, in a database of their own."""
