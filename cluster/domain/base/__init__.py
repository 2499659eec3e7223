"""What everything else stands on: sets of numbers, times, names, errors."""
