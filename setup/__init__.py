"""The orchestrator: one operation a module. `./setup.sh VERB` runs `python -m setup VERB`."""
