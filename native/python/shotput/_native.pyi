"""The native module: Rust under a Python name. Values cross as plain dicts and lists, errors are ``shotput.errors``."""
# Every function that may block releases the GIL. `config_path` names the client configuration file
# (default: $DEADLINE_CONFIG_FILE_PATH, else ~/.deadline/config). `target` is a resolved target as a dict (for the local
# farm: `shotput.local_farm.FarmState.target()`); with it, no configuration file and no AWS profile is read.

__version__: str
