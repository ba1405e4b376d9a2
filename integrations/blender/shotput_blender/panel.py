# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in Properties > Output and its operators: export, submit to the local farm, cancel, and what comes of it.

Operators work without a window too (``bpy.ops.shotput.submit()``): they block then, and with a window they run on a
thread while a timer redraws the panel.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Callable

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from shotput import installed_farm, kept_files
from shotput.errors import DeadlineOperationError
from shotput.submission import SubmittedJob, submit_to_local_farm

from . import exporter
from .host import HOST

_REDRAW_SECONDS = 0.25


class Submission:
    """The one submission of this Blender that goes on, or the last one. Written by its thread, read by the panel."""

    def __init__(self) -> None:
        self.text = ""
        self.percent = 0.0
        self.error = ""
        self.running = False
        self.canceled = False
        self.job: SubmittedJob | None = None
        self.files: list[str] = []
        self.missing: list[str] = []

    def progress(self, text: str, percent: float) -> bool:
        """Takes what the native module and the job report; ``False`` once somebody pressed Cancel."""
        self.text, self.percent = text, percent
        return not self.canceled

    def run(self, bundle: Path, ignore_missing: bool) -> None:
        """Submits, waits and brings the frames home. Errors end up in ``error``."""
        try:
            self.text = "Starting the farm"
            self.job = submit_to_local_farm(
                bundle,
                on_progress=self.progress,
                launcher=farm_launcher(),
                require_paths_exist=not ignore_missing,
                submitter_name="shotput-blender",
                keep_bundle=False,
            )
            last = self.job.wait(self.progress)
            if self.canceled:
                self.job.cancel()
                self.text = "Canceled"
            elif last["taskRunStatus"] == "SUCCEEDED":
                self.files = [str(path) for path in self.job.bring_home(self.progress).get("files", [])]
                self.text, self.percent = f"{len(self.files)} frames are home", 100.0
            else:
                job_id = self.job.job_id
                self.error = f"The job {job_id} ended {last['taskRunStatus']}. Its log: shotput job logs {job_id}"
        except DeadlineOperationError as error:
            self.error = told(error)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            self.running = False


CURRENT = Submission()


def told(error: DeadlineOperationError) -> str:
    """An error as an artist sees it: its sentence, and the log that says more."""
    return f"{error} Log: {error.log}" if error.log else str(error)


def farm_launcher() -> list[str] | None:
    """The command that starts the farm that the add-on brings; ``None`` where ``shotput_farm`` is installed anyway.

    The farm is copied to the user's data folder first. Raises ``FarmError`` when that does not work.
    """
    farm = Path(__file__).parent / "farm"
    return installed_farm.install(farm) if farm.is_dir() else None


def export_for_submission(save: str, ignore_missing: bool) -> tuple[Path, dict[str, Any]]:
    """Saves the scene or a copy, and writes its bundle into the user's data folder. (folder, what the exporter
    says)."""
    folder = kept_files.bundle_folder(HOST.scene_path())
    options: dict[str, Any] = {"missing_files": "IGNORE" if ignore_missing else "FAIL"}
    if bpy.app.binary_path:
        # The job is rendered by the Blender that submitted it.
        options["blender_executable"] = bpy.app.binary_path
    elif os.environ.get("SHOTPUT_BLENDER"):
        options["blender_executable"] = os.environ["SHOTPUT_BLENDER"]
    if HOST.is_modified() or not HOST.scene_path():
        if save == "COPY":
            options["scene_file"] = HOST.save_scene(
                str(folder / "scene" / f"{kept_files.file_stem(HOST.scene_path())}.blend")
            )
        else:
            HOST.save_scene()
    return folder, exporter.export(folder, options)


class SHOTPUT_OT_export(bpy.types.Operator):
    """Write the scene as a job bundle"""

    bl_idname = "shotput.export"
    bl_label = "Save Bundle"

    directory: StringProperty(name="Folder", subtype="DIR_PATH")  # type: ignore[valid-type]

    def execute(self, context: Any) -> set[Any]:
        """Exports into ``directory``."""
        try:
            result = exporter.export(bpy.path.abspath(self.directory))
        except DeadlineOperationError as error:
            self.report({"ERROR"}, told(error))
            return {"CANCELLED"}
        for item in result["missing"]:
            self.report({"WARNING"}, f"Missing: {item['path']} ({', '.join(item['owners'])})")
        return {"FINISHED"}

    def invoke(self, context: Any, event: Any) -> set[Any]:
        """Asks for the folder first."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class SHOTPUT_OT_submit(bpy.types.Operator):
    """Render the scene on the farm of this machine"""

    bl_idname = "shotput.submit"
    bl_label = "Render on Farm"

    save: EnumProperty(  # type: ignore[valid-type]
        name="Changes",
        items=[
            ("SAVE", "Save the scene", "Save the scene before it is submitted"),
            ("COPY", "Submit a copy", "Leave the file as it is and submit a copy with the changes"),
        ],
    )
    ignore_missing: BoolProperty(  # type: ignore[valid-type]
        name="Ignore missing files", description="Render although files of the scene are missing"
    )

    _thread: threading.Thread | None = None
    _timer: Any = None

    @classmethod
    def poll(cls, context: Any) -> bool:
        """One submission at a time."""
        return not CURRENT.running

    def _start(self) -> Callable[[], None] | None:
        global CURRENT
        CURRENT = Submission()
        try:
            folder, exported = export_for_submission(self.save, self.ignore_missing)
        except DeadlineOperationError as error:
            CURRENT.error = told(error)
            self.report({"ERROR"}, CURRENT.error)
            return None
        CURRENT.missing = [f"{item['path']} ({', '.join(item['owners'])})" for item in exported["missing"]]
        if CURRENT.missing and not self.ignore_missing:
            CURRENT.error = f"Missing: {CURRENT.missing[0]}. Relink it, or submit with missing files ignored."
            self.report({"ERROR"}, CURRENT.error)
            return None
        CURRENT.running = True
        submission, ignore = CURRENT, self.ignore_missing
        return lambda: submission.run(folder, ignore)

    def execute(self, context: Any) -> set[Any]:
        """Without a window: exports, submits, waits, and brings the frames home."""
        work = self._start()
        if work is None:
            return {"CANCELLED"}
        work()
        if CURRENT.error:
            self.report({"ERROR"}, CURRENT.error)
            return {"CANCELLED"}
        self.report({"INFO"}, CURRENT.text)
        return {"FINISHED"}

    def invoke(self, context: Any, event: Any) -> set[Any]:
        """With a window: the same on a thread."""
        work = self._start()
        if work is None:
            return {"CANCELLED"}
        self._thread = threading.Thread(target=work, name="shotput-submission", daemon=True)
        self._thread.start()
        self._timer = context.window_manager.event_timer_add(_REDRAW_SECONDS, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[Any]:
        """Redraws the panel until the thread has ended."""
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        for area in context.screen.areas:
            if area.type == "PROPERTIES":
                area.tag_redraw()
        if CURRENT.running:
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        if CURRENT.error:
            self.report({"ERROR"}, CURRENT.error)
        return {"FINISHED"}


class SHOTPUT_OT_cancel(bpy.types.Operator):
    """Stop the submission, and the job where it is made already"""

    bl_idname = "shotput.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Only while something goes on."""
        return CURRENT.running

    def execute(self, context: Any) -> set[Any]:
        """Asks the submission to end; it does at its next report."""
        CURRENT.canceled = True
        return {"FINISHED"}


class SHOTPUT_PT_panel(bpy.types.Panel):
    """Submits to the farm and shows what comes of it."""

    bl_label = "Shotput"
    bl_idname = "SHOTPUT_PT_panel"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "output"

    def draw(self, context: Any) -> None:
        """Target, what happens now, and the one thing to do next."""
        layout: Any = self.layout
        layout.label(text="Farm: this machine")
        if CURRENT.running:
            # Blender 4.2's progress bar takes 0 to 1.
            layout.progress(factor=min(max(CURRENT.percent / 100.0, 0.0), 1.0), text=CURRENT.text)
            layout.operator("shotput.cancel")
            return
        column = layout.column(align=True)
        for line in CURRENT.missing[:5]:
            column.label(text=line, icon="LIBRARY_DATA_BROKEN")
        if CURRENT.error:
            layout.label(text=CURRENT.error, icon="ERROR")
        elif CURRENT.text:
            layout.label(text=CURRENT.text, icon="CHECKMARK")
        layout.operator("shotput.submit", icon="RENDER_ANIMATION")
        layout.operator("shotput.export")


CLASSES = (SHOTPUT_OT_export, SHOTPUT_OT_submit, SHOTPUT_OT_cancel, SHOTPUT_PT_panel)
