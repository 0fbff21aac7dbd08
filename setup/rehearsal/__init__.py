"""AWS on this machine: a pinned emulator, and real executors for what it lacks or only pretends."""
