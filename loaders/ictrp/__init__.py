"""WHO ICTRP: trials of all registries as the platform exports them (XML)."""
