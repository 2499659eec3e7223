"""`cluster pools`: keeps pools filled. Of the cluster it knows what any client does."""
