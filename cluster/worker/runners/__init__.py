"""What can start attempts in place of the local launcher."""
