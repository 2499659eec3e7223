"""What a launcher decides: which attempt starts when, and when one is stopped or killed."""
