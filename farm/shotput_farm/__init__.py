"""The local farm: Deadline Cloud's REST-JSON protocol over SQLite, a scheduler and a worker."""

__version__ = "0.1.0"
