"""What annotations and predictions of dense pose are held in."""
