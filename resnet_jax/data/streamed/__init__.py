"""Pictures of any size, decoded by the host while the devices train."""
