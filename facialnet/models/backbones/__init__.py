"""Networks that turn faces into features."""
