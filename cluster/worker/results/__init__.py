"""What attempts have left in their directories and is wanted for keeps: collected here, and sent to the scheduler."""
