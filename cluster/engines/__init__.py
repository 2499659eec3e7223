"""Clients of engines that run containers or machines elsewhere, for whoever uses one: a runner, a provider of pools."""
