# SPDX-License-Identifier: GPL-3.0-or-later
"""Shotput's Blender extension: puts shots on the farm, the one on this machine too. Blender 4.2 and newer.

Importing does nothing but import: Blender calls ``register`` and ``unregister``. The package works under any name,
because an extension is loaded as ``bl_ext.<repository>.shotput``; so its modules import each other relatively.
"""

from __future__ import annotations


def register() -> None:
    """Called when the extension is enabled."""
    import bpy

    from . import panel

    for cls in panel.CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Called when the extension is disabled: leaves nothing behind."""
    import bpy

    from . import panel

    panel.CURRENT.canceled = True
    for cls in reversed(panel.CLASSES):
        bpy.utils.unregister_class(cls)
