"""All SQL of the farm: nothing outside this package speaks it."""

from __future__ import annotations

from shotput_farm.store.database import EVERY_WORKER, Store, StoreError, Transaction

__all__ = ["EVERY_WORKER", "Store", "StoreError", "Transaction"]
