"""The caches of hashes and of objects that were seen in the store: files shared with the native module."""

from __future__ import annotations

from .cache_db import COMPONENT_NAME, CONFIG_ROOT, CacheDB
from .hash_cache import WHOLE_FILE_RANGE_END, HashCache, HashCacheEntry
from .s3_check_cache import S3CheckCache, S3CheckCacheEntry

__all__ = [
    "COMPONENT_NAME",
    "CONFIG_ROOT",
    "WHOLE_FILE_RANGE_END",
    "CacheDB",
    "HashCache",
    "HashCacheEntry",
    "S3CheckCache",
    "S3CheckCacheEntry",
]
