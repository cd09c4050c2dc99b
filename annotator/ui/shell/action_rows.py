"""Everything that the window can do, a row each. Menus, tool strip, keys, sheet, documents and tests come from it.

A new action is one row here. Keys that a preset has elsewhere stand in ``resources/keymap.toml``.
"""

from __future__ import annotations

import sys
from itertools import groupby

from annotator.domain.overlap import Overlap
from annotator.domain.ports.actions import MENUS
from annotator.domain.ports.jobs import JobSpec
from annotator.ui.canvas.tools.specs import TOOLS, ToolSpec
from annotator.ui.shell import window_state as when
from annotator.ui.shell.action_row import ActionRow
from annotator.ui.shell.panel_specs import PANELS, PanelSpec
from annotator.ui.shell.series_rows import PLAY_ACTIONS, SERIES_ACTIONS
from annotator.ui.shell.track_rows import TRACK_ACTIONS

__all__ = ["ACTIONS", "MENUS", "TOOL_STRIP", "ActionRow"]
_ZOOM_STEP = 1.25
_READ_ALL = JobSpec("Read all images", "image", "annotator.io.project.readable:read_all_images")


def _tool(spec: ToolSpec) -> ActionRow:
    return ActionRow(
        f"tool_{spec.id}",
        spec.title,
        "Object",
        spec.tip,
        run="commands.set_tool",
        args=(spec.id,),
        enabled=when.writable if spec.changes else when.on_image,
        keys=(spec.key,),
        icon=spec.icon,
        group="tool",
        strip=(1, spec.place),
    )


def _panel(spec: PanelSpec, *, is_first: bool) -> ActionRow:
    return ActionRow(
        f"panel_{spec.id}",
        f"{spec.title} panel",
        "View",
        "Show or hide it",
        run="window.switch_panel",
        args=(spec.id,),
        keys=spec.keys,
        icon="panel",
        is_switch=True,
        starts_section=is_first,
    )


_OVERLAP = (
    (Overlap.ALLOWED, "Objects may overlap", "In this project: a new object changes no other"),
    (Overlap.YIELDS, "New objects yield to others", "In this project: what others have is left out of a new object"),
    (Overlap.TAKES, "New objects take from others", "In this project: others lose what a new object has"),
)


def _overlap(rule: tuple[Overlap, str, str], *, is_first: bool) -> ActionRow:
    return ActionRow(
        f"overlap_{rule[0].name.lower()}",
        rule[1],
        "Mask",
        rule[2],
        run="commands.edits.set_overlap",
        args=(rule[0].value,),
        enabled=when.writable,
        group="overlap",
        starts_section=is_first,
    )


_PRESET_TIPS = (
    "CT: brain; other images: percentiles, or automatic contrast",
    "CT: lung; other images: the full range",
    "CT: bone",
    "CT: abdomen",
    "CT: liver",
    "CT: percentiles",
    "CT: the full range",
)


def _preset(number: int) -> ActionRow:
    return ActionRow(
        f"preset_{number}",
        f"Window preset {number}",
        "View",
        _PRESET_TIPS[number - 1],
        run="greys.use_preset",
        args=(number - 1,),
        enabled=when.on_image,
        keys=(f"Shift+{number}",),
        together="Window presets",
    )


_NUDGES = tuple(
    (name, dx * px, dy * px, f"{keys}+{name}")
    for px, keys in ((1, "Alt"), (10, "Alt+Shift"))
    for name, dx, dy in (("Left", -1, 0), ("Right", 1, 0), ("Up", 0, -1), ("Down", 0, 1))
)


def _nudge(name: str, dx: int, dy: int, keys: str) -> ActionRow:
    far = max(abs(dx), abs(dy))
    unit = "pixel" if far == 1 else "pixels"
    return ActionRow(
        f"nudge_{name.lower()}_{far}",
        f"Move {name.lower()} by {far} {unit}",
        "Edit",
        "The selected objects",
        run="commands.clipboard.nudge",
        args=(dx, dy),
        enabled=when.selecting,
        keys=(keys,),
        repeats=True,
        together="Move objects",
    )


A = ActionRow
# fmt: off
ACTIONS: tuple[ActionRow, ...] = (
    A("open_folder", "Open folder…", "File", "Open a folder of images",
      run="files.open_folder", keys=("Ctrl+O",), icon="folder"),
    A("open_project", "Open project file…", "File", "Open a .annot project file",
      run="files.open_project", keys=("Ctrl+Shift+O",)),
    A("open_samples", "Try the sample images", "File", "Write sample images to a folder and open it",
      run="files.open_samples"),
    A("save", "Save", "File", "Every accepted object is saved at once; this says so",
      run="commands.tell_saved", keys=("Ctrl+S",), enabled=when.in_project),
    A("import", "Import…", "File", "Bring objects of another program's file in: COCO, YOLO, DICOM and others",
      run="files.import_file", keys=("Ctrl+I",), enabled=when.in_project, icon="import", starts_section=True),
    A("export", "Export…", "File", "Write objects as COCO, masks, polygons and others, and check the file",
      run="files.export", keys=("Ctrl+E",), enabled=when.in_project, icon="export"),
    A("settings", "Settings…", "File", "Change how the program behaves",
      run="files.show_settings", keys=("Ctrl+,",), icon="settings", starts_section=True),
    A("quit", "Quit", "File", "Close the window; everything is saved",
      run="window.close", keys=("Ctrl+Q",), starts_section=True),
    A("undo", "Undo", "Edit", "Step back: a click or stroke of the current object, else the last change",
      run="commands.steps.undo", keys=("Ctrl+Z",), enabled=when.undoable, icon="undo", repeats=True, strip=(3, 1)),
    A("redo", "Redo", "Edit", "Step forward again",
      run="commands.steps.redo", keys=("Ctrl+Shift+Z", "Ctrl+Y"), enabled=when.redoable, icon="redo",
      repeats=True, strip=(3, 2)),
    A("delete", "Delete object", "Edit", "Delete the selected objects",
      run="commands.delete_selected", keys=("Del",), enabled=when.selecting, icon="delete", starts_section=True),
    A("copy", "Copy", "Edit", "Copy the selected objects, for here and for other windows",
      run="commands.clipboard.copy", keys=("Ctrl+C",), enabled=when.has_selected, starts_section=True),
    A("cut", "Cut", "Edit", "Copy the selected objects and take them away",
      run="commands.clipboard.cut", keys=("Ctrl+X",), enabled=when.selecting),
    A("paste", "Paste", "Edit", "Copied objects at the same place of this image; COCO text, too",
      run="commands.clipboard.paste", keys=("Ctrl+V",), enabled=when.writable),
    A("paste_prompts", "Paste as prompts", "Edit", "Ask the model for what lies in the boxes of the copied objects",
      run="commands.clipboard.paste_prompts", keys=("Ctrl+Shift+V",), enabled=when.writable),
    A("duplicate", "Duplicate", "Edit", "The selected objects again, a little further",
      run="commands.clipboard.duplicate", keys=("Ctrl+D",), enabled=when.selecting),
    A("copy_next", "Copy to next image", "Edit", "The selected objects at the same place of the next image",
      run="commands.clipboard.copy_to", args=(+1,), keys=("Ctrl+Shift+C",), enabled=when.selecting,
      together="Copy to the next or previous image"),
    A("copy_previous", "Copy to previous image", "Edit", "The selected objects at the same place of the image before",
      run="commands.clipboard.copy_to", args=(-1,), keys=("Ctrl+Shift+X",), enabled=when.selecting,
      together="Copy to the next or previous image"),
    *(_nudge(*one) for one in _NUDGES),
    A("select_all", "Select all objects", "Edit", "Select every object of this image",
      run="commands.select_all", keys=("Ctrl+A",), enabled=when.on_image),
    A("invert_selection", "Invert selection", "Edit", "Select what is not selected",
      run="commands.marks.invert_selection", keys=("Ctrl+Alt+I",), enabled=when.on_image),
    A("select_class", "Select the same class", "Edit", "All objects of the classes that are selected",
      run="commands.marks.select_class", keys=("Ctrl+Alt+A",), enabled=when.on_image),
    A("lock", "Lock or unlock", "Edit", "Nothing changes a locked object",
      run="commands.marks.lock", keys=("Ctrl+L",), enabled=when.selecting),
    *(_tool(spec) for spec in TOOLS),
    A("toggle_sign", "Removing clicks", "Object", "The left button removes",
      run="commands.set_removing", keys=("T",), enabled=when.writable, icon="sign", is_switch=True, strip=(2, 1)),
    A("brush_larger", "Larger brush", "Object", "Also Ctrl and the wheel; of proposals a higher score",
      run="commands.turn_size", args=(+1,), keys=("]",), enabled=when.writable, repeats=True,
      together="Size of the brush"),
    A("brush_smaller", "Smaller brush", "Object", "Also Ctrl and the wheel; of proposals a lower score",
      run="commands.turn_size", args=(-1,), keys=("[",), enabled=when.writable, repeats=True,
      together="Size of the brush"),
    A("accept", "Accept", "Object", "Keep the mask, or the current proposal, as an object",
      run="commands.accept", keys=("Return", "Enter"), enabled=when.acceptable, icon="accept", strip=(2, 2),
      starts_section=True),
    A("cancel", "Cancel", "Object", "Drop the current object or the selection, or stop a search",
      run="commands.cancel", keys=("Esc",), enabled=when.cancellable, icon="cancel", strip=(2, 3)),
    A("remove_last", "Remove last click", "Object", "Take the newest click or stroke away; drop a proposal",
      run="commands.remove_last", keys=("Backspace", "Z"), enabled=when.removable, icon="backspace", repeats=True),
    A("next_candidate", "Next candidate", "Object", "Part, whole or group; or the next proposal",
      run="commands.cycle", args=(+1,), keys=("Tab",), enabled=when.choosing, icon="candidates", repeats=True),
    A("previous_candidate", "Previous candidate", "Object", "The candidate or proposal before",
      run="commands.cycle", args=(-1,), keys=("Shift+Tab",), enabled=when.choosing, repeats=True),
    A("refine_selected", "Refine object", "Object", "Take the selected one, or the one under the pointer, up again",
      run="commands.refine_selected", keys=("R",), enabled=when.writable),
    A("approve", "Approved", "Object", "The selected objects were looked at and are right; again takes it back",
      run="commands.second_look.approve", keys=("Shift+R",), enabled=when.selecting, starts_section=True),
    A("rework", "Needs rework", "Object", "The selected objects have to be changed; again takes it back",
      run="commands.second_look.rework", keys=("Ctrl+Shift+R",), enabled=when.selecting),
    A("note", "Note…", "Object", "Write a note on the selected objects",
      run="commands.second_look.edit_note", keys=("Shift+N",), enabled=when.selecting),
    A("answer_attribute", "Attributes of the object", "Object", "Answer the bar that asks for one, else the panel",
      run="commands.attributes.answer", keys=("Alt+A",), enabled=when.writable),
    A("define_attributes", "Define attributes…", "Object", "What is said of objects and images beside the class",
      run="commands.attributes.define", enabled=when.writable),
    A("suggest_click", "Suggested next click", "Object", "Go to it; Enter places it",
      run="commands.next_click.go", keys=("G",), enabled=when.refining, icon="suggest", repeats=True),
    A("find_everything", "Find everything", "Object", "Let the model propose every object of the image",
      run="proposals.find_everything", keys=("Shift+E",), enabled=when.writable, icon="proposals",
      starts_section=True),
    A("find_like", "Find all like this", "Object", "All that is like the selected objects, or those accepted last",
      run="like.find", keys=("Shift+L",), enabled=when.writable, icon="proposals"),
    A("find_like_folder", "Find all like this in the folder", "Object", "In all images that are not finished, as a job",
      run="folder_search.start", keys=("Ctrl+Shift+L",), enabled=when.writable, icon="proposals"),
    A("find_words", "Find by words…", "Object", "Type what is looked for: “nucleus, not debris”",
      run="words.open", keys=("/",), enabled=when.writable, icon="search"),
    A("accept_proposals", "Accept all proposals shown", "Object", "All at once, with the class in use",
      run="proposals.accept_all", keys=("Shift+Return", "Shift+Enter"), enabled=when.reviewing),
    A("suggest_class", "Suggest a class", "Object", "What the selected objects look like; Enter takes it",
      run="commands.naming.suggest", keys=("Alt+N",), enabled=when.writable),
    A("describe_object", "Describe the object", "Object", "A model says in a line what it is; Enter notes it",
      run="commands.naming.describe", keys=("Alt+Shift+N",), enabled=when.writable),
    A("find_class", "Find class…", "Object", "Choose a class by name",
      run="commands.find_class", keys=("C",), enabled=when.in_project, icon="search", starts_section=True),
    A("fill_holes", "Fill holes", "Mask", "Everything that the mask encloses becomes part of it",
      run="commands.masks.start", args=("fill holes",), keys=("Shift+H",), enabled=when.has_masks),
    A("keep_largest", "Keep the largest part", "Mask", "All other parts go",
      run="commands.masks.start", args=("keep largest part",), keys=("Shift+K",), enabled=when.has_masks),
    A("drop_islands", "Drop small islands…", "Mask", "Parts under so many pixels go",
      run="commands.masks.start", args=("drop islands",), keys=("Shift+D",), enabled=when.has_masks),
    A("smooth", "Smooth…", "Mask", "Round off spikes and notches",
      run="commands.masks.start", args=("smooth",), keys=("Shift+S",), enabled=when.has_masks),
    A("grow", "Grow…", "Mask", "By so many pixels on all sides",
      run="commands.masks.start", args=("grow",), keys=("Shift+G",), enabled=when.has_masks),
    A("shrink", "Shrink…", "Mask", "By so many pixels from all sides",
      run="commands.masks.start", args=("shrink",), keys=("Shift+F",), enabled=when.has_masks),
    A("simplify", "Simplify the outline…", "Mask", "Fewer corners; says how much of the mask is kept",
      run="commands.masks.start", args=("simplify",), keys=("Shift+O",), enabled=when.has_masks),
    A("invert", "Invert inside its box", "Mask", "What is outside becomes inside, within the box of the mask",
      run="commands.masks.start", args=("invert",), keys=("Shift+X",), enabled=when.has_masks),
    A("subtract_neighbours", "Subtract neighbours", "Mask", "What other objects have is taken away",
      run="commands.masks.start", args=("subtract",), keys=("Shift+U",), enabled=when.has_masks),
    A("merge_objects", "Merge objects", "Mask", "The selected objects become one",
      run="commands.edits.merge", keys=("Ctrl+M",), enabled=when.selecting, starts_section=True),
    A("split_parts", "Split into parts", "Mask", "Every part of the selected objects becomes an object",
      run="commands.edits.split_parts", keys=("Ctrl+Shift+M",), enabled=when.selecting),
    A("to_front", "Bring to front", "Mask", "The selected objects over all others",
      run="commands.edits.to_front", args=(True,), keys=("Ctrl+Shift+Up",), enabled=when.selecting,
      together="Bring to front, send to back"),
    A("to_back", "Send to back", "Mask", "The selected objects under all others",
      run="commands.edits.to_front", args=(False,), keys=("Ctrl+Shift+Down",), enabled=when.selecting,
      together="Bring to front, send to back"),
    *(_overlap(rule, is_first=at == 0) for at, rule in enumerate(_OVERLAP)),
    *TRACK_ACTIONS,
    A("next_image", "Next image", "Image", "Go to the next image",
      run="session.step", args=(+1,), keys=("D", "PgDown"), enabled=when.in_project, icon="next", repeats=True),
    A("previous_image", "Previous image", "Image", "Go to the image before",
      run="session.step", args=(-1,), keys=("A", "PgUp"), enabled=when.in_project, icon="previous", repeats=True),
    A("ten_on", "Ten images on", "Image", "Or the last one, where fewer are left",
      run="session.step", args=(+10,), keys=("Alt+PgDown",), enabled=when.in_project, repeats=True,
      together="Ten images on or back"),
    A("ten_back", "Ten images back", "Image", "Or the first one, where fewer are left",
      run="session.step", args=(-10,), keys=("Alt+PgUp",), enabled=when.in_project, repeats=True,
      together="Ten images on or back"),
    A("last_image", "Last image", "Image", "Of those that the film strip shows",
      run="session.step", args=(+sys.maxsize,), keys=("Alt+End",), enabled=when.in_project,
      together="First or last image"),
    A("first_image", "First image", "Image", "Of those that the film strip shows",
      run="session.step", args=(-sys.maxsize,), keys=("Alt+Home",), enabled=when.in_project,
      together="First or last image"),
    A("next_entry", "Next series or image", "Image", "Leave the series; it is come back to at the same slice",
      run="commands.slices.go_to_entry", args=(+1,), keys=("Ctrl+PgDown",), enabled=when.in_project, repeats=True,
      together="Next or previous series"),
    A("previous_entry", "Previous series or image", "Image", "Leave the series backward",
      run="commands.slices.go_to_entry", args=(-1,), keys=("Ctrl+PgUp",), enabled=when.in_project, repeats=True,
      together="Next or previous series"),
    *PLAY_ACTIONS,
    A("next_unfinished", "Next unfinished image", "Image", "Go to the next image that is not done",
      run="session.next_unfinished", keys=("Ctrl+Shift+D",), enabled=when.in_project, repeats=True),
    A("review_next", "Least certain object", "Image", "From object to object over all images",
      run="review.go", args=(+1,), keys=("J",), enabled=when.in_project, repeats=True,
      together="Least certain objects in turn"),
    A("review_previous", "Previous in review", "Image", "Back to the object before",
      run="review.go", args=(-1,), keys=("K",), enabled=when.in_project, repeats=True,
      together="Least certain objects in turn"),
    *SERIES_ACTIONS,
    A("check_run", "Check all objects", "Image", "Look for what may be wrong with the objects of all images",
      run="controls.checks.run", keys=("Ctrl+Shift+K",), enabled=when.in_project, starts_section=True),
    A("read_all", "Read all images", "Image", "Lists those whose file is missing, damaged or cut off",
      run="project_jobs.run", args=(_READ_ALL,), enabled=when.in_project),
    A("check_next", "Next finding", "Image", "Go to the next one that is open",
      run="controls.checks.go", args=(+1,), keys=("Alt+J",), enabled=when.in_project, repeats=True),
    A("check_previous", "Previous finding", "Image", "Back to the one before",
      run="controls.checks.go", args=(-1,), keys=("Alt+Shift+J",), enabled=when.in_project, repeats=True),
    A("check_repair", "Repair finding", "Image", "Do the repair that is offered; it can be undone",
      run="controls.checks.repair", keys=("Alt+R",), enabled=when.in_project),
    A("check_merge", "Merge finding's objects", "Image", "One object of two that overlap; it can be undone",
      run="controls.checks.repair", args=(True,), keys=("Alt+Shift+R",), enabled=when.in_project),
    A("check_waive", "Waive finding…", "Image", "It stays, with a note; again takes that back",
      run="controls.checks.waive", keys=("Alt+K",), enabled=when.in_project),
    A("similar_find", "Find similar objects", "Image", "Those that look most like the selected one, in all images",
      run="controls.similar.find", keys=("Ctrl+Alt+S",), enabled=when.has_selected, starts_section=True),
    A("suspects", "Objects unlike their class", "Image", "Those that may have the wrong class, of all images",
      run="controls.similar.show_suspects", keys=("Ctrl+Alt+U",), enabled=when.in_project),
    A("similar_copies", "Find near copies", "Image", "Images that are the same picture, or nearly, in pairs",
      run="controls.similar.show_near_copies", enabled=when.in_project),
    A("similar_next", "Next of the similar ones", "Image", "Go to the next object of the Similar panel",
      run="controls.similar.go", args=(+1,), keys=("Alt+L",), enabled=when.in_project, repeats=True),
    A("similar_previous", "Previous of the similar ones", "Image", "Back to the one before",
      run="controls.similar.go", args=(-1,), keys=("Alt+U",), enabled=when.in_project, repeats=True),
    A("done_next", "Done and next", "Image", "Mark it done and go on",
      run="commands.finishing.done_and_next", keys=("Ctrl+Return", "Ctrl+Enter"), enabled=when.writable,
      icon="done-next", strip=(5, 2), starts_section=True),
    A("mark_empty", "Mark empty", "Image", "Nothing to annotate: all objects go",
      run="commands.finishing.mark_empty", keys=("X",), enabled=when.writable, icon="empty", strip=(5, 1)),
    A("hide_masks", "Hide masks", "View", "Hide or show all masks",
      run="window.canvas.hide_masks", keys=("V",), icon="eye", is_switch=True, strip=(4, 1)),
    A("hide", "Hide or show objects", "View", "The selected ones",
      run="commands.marks.hide", keys=("Ctrl+Shift+H",), enabled=when.has_selected),
    A("solo", "Show alone", "View", "Only the selected objects, until it is pressed again",
      run="commands.marks.solo", keys=("Alt+S",), enabled=when.on_image),
    A("show_all", "Show all objects", "View", "Nothing is hidden any more",
      run="commands.marks.show_all", keys=("Ctrl+Alt+H",), enabled=when.on_image),
    A("own_colours", "A colour for each object", "View", "Instead of the colour of its class",
      run="views.objects.set_own_colours", keys=("Alt+C",), enabled=when.on_image, is_switch=True),
    A("peek", "Peek at the bare image", "View", "Hold the key to see the image alone",
      run="window.canvas.set_peek", keys=("H",), is_held=True),
    A("show_doubt", "Show doubt", "View", "Where the mask may be wrong, as a heat layer",
      run="commands.next_click.show_heat", keys=("U",), enabled=when.on_image, icon="heat", is_switch=True),
    A("compare_base", "Compare with the base", "View", "Hold: the mask without the adapter",
      run="adapters.compare", keys=("N",), is_held=True),
    A("pan", "Pan", "View", "Hold: a drag moves the image", run="window.canvas.hold_pan", keys=("Space",),
      is_held=True),
    A("fit", "Fit image", "View", "Show the whole image",
      run="window.canvas.fit", keys=("F",), enabled=when.on_image, icon="fit", strip=(4, 2), starts_section=True),
    A("zoom_in", "Zoom in", "View", "Closer",
      run="window.canvas.zoom_by", args=(_ZOOM_STEP,), keys=("+", "="), enabled=when.on_image,
      icon="zoom-in", repeats=True,
      together="Zoom in or out"),
    A("zoom_out", "Zoom out", "View", "Further away",
      run="window.canvas.zoom_by", args=(1 / _ZOOM_STEP,), keys=("-",), enabled=when.on_image,
      icon="zoom-out", repeats=True,
      together="Zoom in or out"),
    A("actual_size", "Actual size", "View", "One pixel of the image is one of the screen",
      run="window.canvas.zoom_to", args=(100.0,), keys=("0",), enabled=when.on_image),
    A("loupe", "Loupe", "View", "Hold: what is under the pointer, larger", run="window.canvas.loupe.set_shown",
      keys=(",",), is_held=True),
    A("cross_hair", "Cross-hair lines", "View", "Lines through the pointer, with tools that aim", run="set_cross_hair",
      keys=("Alt+X",), is_switch=True),
    A("timeline", "Timeline", "View", "Small pictures and tracks under the slider of a series", run="set_timeline",
      keys=("Alt+Z",), is_switch=True),
    A("window_reset", "Reset window", "View", "Show the image as its file asks",
      run="greys.reset", keys=("Shift+0",), enabled=when.on_image, starts_section=True),
    A("window_invert", "Invert", "View", "Bright becomes dark",
      run="greys.invert", keys=("Ctrl+Shift+I",), enabled=when.on_image),
    A("window_all", "Use window for all", "View", "For all images of this kind",
      run="greys.use_for_all", enabled=when.on_image),
    *(_preset(number) for number in range(1, len(_PRESET_TIPS) + 1)),
    *(_panel(spec, is_first=at == 0) for at, spec in enumerate(PANELS)),
    A("next_part", "Next part of the window", "View", "Round the image, panels, film strip, tools and messages",
      run="window.focus_next", args=(+1,), keys=("F6",), repeats=True, starts_section=True),
    A("previous_part", "Previous part of the window", "View", "The other way round",
      run="window.focus_next", args=(-1,), keys=("Shift+F6",), repeats=True),
    A("full_screen", "Full screen", "View", "Whole screen",
      run="window.set_full_screen", keys=("F11",), icon="fullscreen", is_switch=True, starts_section=True),
    A("adapters", "Adapters…", "Model", "Choose, import, export and remove prompt adapters",
      run="adapters.show_panel", keys=("Ctrl+Shift+A",), icon="model"),
    A("keys", "Keys", "Help", "All keys on one sheet", run="files.show_keys", keys=("?", "F1"), icon="keys"),
    A("about", "About Annotator", "Help", "Version, model, licences", run="files.show_about", icon="info"),
)
# fmt: on


def _strip() -> tuple[str, ...]:
    rows = sorted((row for row in ACTIONS if row.strip), key=lambda row: row.strip)
    sections = [[row.id for row in section] for _, section in groupby(rows, key=lambda row: row.strip[:1])]
    return tuple(name for at, section in enumerate(sections) for name in (("", *section) if at else section))


TOOL_STRIP = _strip()
"""Ids from top to bottom; an empty one parts two sections."""
