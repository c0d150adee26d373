"""The order tools through real clients on a real desk."""
