# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on workers under a bare Blender: it travels inside the job's template and imports nothing of Shotput."""
