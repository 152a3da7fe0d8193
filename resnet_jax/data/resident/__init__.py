"""Small images of one size, all of them kept on every device."""
