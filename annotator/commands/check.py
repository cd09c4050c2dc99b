"""``annotator check``: what may be wrong with the objects of a project or a COCO file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from annotator.commands.privacy import add_privacy_arguments, run_privacy
from annotator.domain.brevity import MOST_MESSAGE, brief
from annotator.domain.checks.finding import CHECKS

_SHOWN = 20
_FAILS = ("error", "warning", "note", "never")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(spec.id for spec in CHECKS)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    width = max(len(spec.id) for spec in CHECKS)
    lines = [f"  {spec.id:<{width}}  {spec.severity.value:<8} {spec.tip}" for spec in CHECKS]
    parser.epilog = "\n".join(["checks:", *lines, "", "exit code: 0 nothing found, 1 something found, 2 not checked"])
    parser.add_argument("target", type=Path, help="project file (.annot), its image folder, or a COCO file (.json)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all findings as .json or .csv")
    parser.add_argument("--only", metavar="CHECK,...", help=f"of {names}")
    parser.add_argument("--skip", metavar="CHECK,...", help="leave these out")
    parser.add_argument(
        "--fail-on", choices=_FAILS, default="warning", help="least severity that gives exit code 1 (default: warning)"
    )
    parser.add_argument("--pixels", action="store_true", help="read the images, too, for the check edges: takes longer")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="with --pixels: a COCO file's images; default: beside it"
    )
    parser.add_argument("--waive", metavar="MARK", action="append", default=[], help="keep a finding (--note says why)")
    parser.add_argument("--note", default="", help="why the findings of --waive are kept")
    add_privacy_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Check, print what was found, write the report.

    Raises:
        UserError: the project or the file cannot be read, an option makes no sense, or the report cannot be written.
    """
    from annotator.commands.output import check_output
    from annotator.domain.errors import UserError
    from annotator.io.check_report import check_suffix, write_report

    if args.privacy:
        return run_privacy(args)
    wanted = _wanted(args.only, args.skip)
    out: Path | None = args.out
    if out is not None:
        check_suffix(out)
        check_output(out, sources=(args.target,))
    is_coco = args.target.suffix.lower() == ".json"
    if args.waive and (is_coco or not args.note.strip()):
        text = "A COCO file has no place for notes." if is_coco else "A finding is waived with a note."
        raise UserError(text, "Import it into a project." if is_coco else "Say why: --note TEXT.")
    found, notes = _of_coco(args) if is_coco else _of_project(args)
    rows = [row for row in found if row["check"] in wanted]
    for line in notes:
        print(f"note: {line}")
    _print(rows)
    if out is not None:
        write_report(out, rows, args.target)
    levels = {"error": 0, "warning": 1, "note": 2, "never": -1}
    open_rows = [row for row in rows if not row["waived"]]
    return int(any(levels[row["severity"]] <= levels[args.fail_on] for row in open_rows))


def _wanted(only: str | None, skip: str | None) -> set[str]:
    from annotator.domain.errors import UserError

    known = [spec.id for spec in CHECKS]
    named = [name.strip() for text in (only, skip) if text for name in text.split(",")]
    unknown = [name for name in named if name not in known]
    if unknown:
        raise UserError(f"There is no check {brief(unknown[0])!r}.", f"There are: {', '.join(known)}.")
    chosen = {name.strip() for name in only.split(",")} if only else set(known)
    return chosen - ({name.strip() for name in skip.split(",")} if skip else set())


def _of_coco(args: argparse.Namespace) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    from annotator.commands.job_bar import run_with_bar
    from annotator.domain.checks.project import check_project
    from annotator.io.check_report import report_row
    from annotator.io.formats.coco.checked import open_checked
    from annotator.jobs.job import Job

    path: Path = args.target
    file = open_checked(path)
    folder = (args.images or path.parent) if args.pixels else None
    names: dict[int, str] = {}

    def images(job: Job) -> Any:
        for entry in file.images(job.progress, folder=folder):
            names[entry.image.id] = entry.image.path
            yield entry

    job = Job(f"Check {path.name}", unit="image")
    found = run_with_bar(job, lambda job: [report_row(one, "") for one in check_project(images(job), file.categories)])
    return _named(found, names), file.notes


def _of_project(args: argparse.Namespace) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    from functools import partial

    from annotator.commands.job_bar import run_with_bar
    from annotator.domain.checks.project import check_project
    from annotator.domain.errors import ProjectError
    from annotator.io.check_report import report_row
    from annotator.io.project.checked import checked_images
    from annotator.io.project.place import find_project, now_text
    from annotator.io.project.store import ProjectStore
    from annotator.io.project.waivers import Waiver, write_waiver
    from annotator.jobs.job import Job

    path = find_project(args.target) if args.target.is_dir() else args.target
    if path is None:
        raise ProjectError(
            f"There is no project in {brief(args.target)}.", "Open that folder first, or name a .annot file."
        )
    # Reading only, unless something is to be kept: the project may be open in the window meanwhile.
    with ProjectStore.open(path, read_only=not args.waive) as store:
        if args.waive and store.is_read_only:
            raise ProjectError(f"{brief(path.name)} is open elsewhere.", "Close it there first.")
        for mark in args.waive:
            waiver = Waiver(mark, args.note.strip(), store.author, now_text())
            store.write_beside(partial(write_waiver, waiver=waiver))
        waivers = store.waivers.all()
        names = {image.id: image.path for image in store.images()}
        job = Job(f"Check {path.name}", unit="image")
        found = run_with_bar(
            job,
            lambda job: [
                report_row(one, "", waivers[one.mark].note if one.mark in waivers else "")
                for one in check_project(
                    checked_images(store, job.progress, reads_images=args.pixels), store.categories()
                )
            ],
        )
    return _named(found, names), ()


def _named(rows: list[dict[str, Any]], names: dict[int, str]) -> list[dict[str, Any]]:
    for row in rows:
        row["image"] = names.get(row["image_id"], "")
    return rows


def _print(rows: list[dict[str, Any]]) -> None:
    from annotator.domain.counting import counted

    for spec in CHECKS:
        own = [row for row in rows if row["check"] == spec.id]
        open_rows = [row for row in own if not row["waived"]]
        if not own:
            continue
        waived = f", {len(own) - len(open_rows)} waived" if len(open_rows) < len(own) else ""
        print(f"{spec.title} ({spec.severity.value}): {len(open_rows)}{waived}")
        worst = sorted(open_rows, key=lambda row: -row["value"])
        for row in worst[:_SHOWN]:
            what = ", ".join(f"object {one}" for one in row["objects"])
            parts = (brief(row["image"]), what, brief(row["text"], MOST_MESSAGE))
            print(f"  {' · '.join(part for part in parts if part)}  [{row['mark']}]")
        if len(worst) > _SHOWN:
            print(f"  … and {len(worst) - _SHOWN} more; --out writes all")
    errors = sum(row["severity"] == "error" and not row["waived"] for row in rows)
    print(f"{counted(sum(not row['waived'] for row in rows), 'finding')}, {errors} of them errors")
