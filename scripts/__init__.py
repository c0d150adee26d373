"""What a developer runs beside the product; nothing in the product imports it."""
