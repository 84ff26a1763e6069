"""The gateway: one process that answers for an endpoint over the OpenAI API."""
