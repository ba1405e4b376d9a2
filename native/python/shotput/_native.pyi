"""The native module: Rust under a Python name. Values cross as plain dicts and lists, exceptions are ``shotput.errors``."""
# Every function that may block releases the GIL. `config_path` names the client configuration file
# (default: $DEADLINE_CONFIG_FILE_PATH, else ~/.deadline/config). `target` is a resolved target (shotput.local_farm.Target
# as a dict); with it, no configuration file and no AWS profile is read.

__version__: str
