"""A project file as a store holds it: its connection, its place, and the only way that anything gets into it.

SQLite writes into a project file when it plays the journal back: in the middle of a commit, and when the last
connection closes. Neither asks whether the file is still the one it was opened as. So both are taken away from it.
Commits go to the journal alone (``wal_autocheckpoint = 0``); a second connection, which cannot write, keeps the first
from being the last; and the journal is played back here, after a look at the file.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from annotator.domain.brevity import brief
from annotator.domain.errors import ProjectError
from annotator.io.project.connect import BUSY_TIMEOUT_MS, CACHE_BYTES, SLOW_BUSY_TIMEOUT_MS, connect_guard
from annotator.io.project.contents import is_as_known
from annotator.io.project.identity import FileIdentity, FileState, new_token, token_in, write_token
from annotator.io.project.inode_lock import InodeLock, Place
from annotator.io.project.journal import belongs, has_journal, journal_path, set_aside, shared_memory_path
from annotator.io.project.lock import ProjectLock, noted_tokens
from annotator.io.project.rescue import edit_mark, save_rescued
from annotator.io.project.schema import RESTORE, transaction, translated_errors

_log = logging.getLogger(__name__)

CHECKPOINT_BYTES = 4 << 20
"""A journal that has grown by this much is played back into the project file."""


class HeldFile:
    """One per store. Used by the store's thread; :meth:`state` by any, and all else inside :meth:`kept_open`."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, *, is_writer: bool, is_wal: bool, lock: ProjectLock | None
    ) -> None:
        """Takes over the connection and the lock, and closes both when it fails.

        Raises:
            sqlite3.Error, OSError: the file cannot be read, or the lock file not be written.
        """
        self.path, self.connection = path, connection
        self.is_wal = is_wal
        self._is_writer, self._lock = is_writer, lock
        self._look, self._use = threading.Lock(), threading.RLock()
        self.alone = threading.RLock()
        """Who writes has it: one thread at a time."""
        self._guard: sqlite3.Connection | None = None
        self._is_closed = self._is_held_by_other = self._is_rescued = False
        self._overwritten: FileIdentity | None = None
        """The file with the right token and other pages than ours."""
        self.on_rescued: Callable[[Path], None] = lambda _copy: None
        """Called with a rescued copy."""
        self._place: Place | None = InodeLock.enter(path)
        try:
            if is_wal:
                self._guard = connect_guard(path)
            self._identity = FileIdentity.of(path)
            self._tokens: tuple[str, ...] = (token_in(path) or "",)
            self._begin()
        except BaseException:
            self._let_go()
            raise

    def _begin(self) -> None:
        """Settle what the last writer left, and see to it that the file has a token."""
        self._journal = FileIdentity.of(journal_path(self.path)) if self._guard is not None else None
        self._checkpoint_at = CHECKPOINT_BYTES
        self._is_unsaved = False
        """Whether the journal may hold what the project file does not."""
        if self._is_writer:
            if self._lock is not None:
                self._lock.note(self._tokens)
            if has_journal(self.path) or self._tokens == ("",):
                self._play_back()
            self._remember()
        self._opened_at = edit_mark(self.connection) if self._is_writer else ()
        self._busy_timeout_ms = BUSY_TIMEOUT_MS if self.is_wal else SLOW_BUSY_TIMEOUT_MS
        self.connection.execute(f"PRAGMA busy_timeout = {self._busy_timeout_ms}")

    # --- what lies there -------------------------------------------------------------------------------------------

    def state(self, *, is_thorough: bool = False) -> FileState:
        """Look at the file, on the disk. Any thread; ``is_thorough`` (its pages are looked through where something was
        written) is for the store's."""
        with self._look:
            return self._state(is_thorough=is_thorough)

    def _state(self, *, is_thorough: bool) -> FileState:
        known, now = self._identity, FileIdentity.of(self.path)
        if now is not None and now == self._overwritten:
            return FileState.OVERWRITTEN
        if now is None or known is None:
            return FileState.GONE
        if not now.is_same_file(known):
            return FileState.REPLACED
        if self._is_writer and now != known:
            if now.size == 0:
                return FileState.EMPTIED
            if token_in(self.path) not in self._tokens:
                return FileState.OVERWRITTEN
            # Touched, or its journal was played back by another program of the person's: or other pages.
            if is_thorough and self.is_wal:
                if not is_as_known(self.connection, self.path):
                    self._overwritten = now
                    return FileState.OVERWRITTEN
                self._identity = now
        journal = FileIdentity.of(journal_path(self.path)) if self._journal is not None else None
        if self._journal is not None and (
            journal is None or not journal.is_same_file(self._journal) or journal.size < self._journal.size
        ):
            return FileState.JOURNAL
        return FileState.OURS

    def _remember(self) -> None:
        """What the file and its journal look like after a write of ours."""
        if not self.is_wal:
            self._identity = FileIdentity.of(self.path)
        self._journal = FileIdentity.of(journal_path(self.path)) if self.is_wal else None

    # --- writing ----------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, into a file that is ours.

        Raises:
            ProjectReplacedError: another one has taken its place; nothing was written.
            sqlite3.Error: as SQLite says it.
        """
        with self.alone:
            yield from self._transaction()

    def _transaction(self) -> Iterator[None]:
        state = self.state(is_thorough=True)
        if state.is_foreign:
            raise state.error(self.path)
        token = "" if self.is_wal else new_token()
        try:
            with transaction(self.connection):
                yield
                if token:
                    write_token(self.connection, token)
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                self._wait_for_others(is_long=False)
            raise
        self._wait_for_others(is_long=True)
        if token and state is FileState.OURS:
            self._tokens = (token,)
        self._is_unsaved = True
        with self._look:
            if state is FileState.OURS:
                self._remember()
        if self._journal is not None and self._journal.size >= self._checkpoint_at and state is FileState.OURS:
            self._play_back_later()

    def _wait_for_others(self, *, is_long: bool) -> None:
        """A program that keeps the file locked costs one wait, and not one for every key that is pressed meanwhile."""
        if self._is_held_by_other == is_long:
            self._is_held_by_other = not is_long
            self.connection.execute(f"PRAGMA busy_timeout = {self._busy_timeout_ms if is_long else 0}")

    def is_free(self) -> bool:
        """Whether nobody has the file locked just now; asked without waiting. What else may be wrong with it is left
        to the one who writes."""
        self._wait_for_others(is_long=False)
        try:
            with self.alone, transaction(self.connection):
                return True
        except sqlite3.OperationalError as error:
            return not ("locked" in str(error) or "busy" in str(error))

    def _play_back_later(self) -> None:
        """Play the journal back; when that fails, it stays, and it is tried again when it has grown."""
        try:
            self._play_back()
        except (sqlite3.Error, OSError) as error:  # a full disk: what was accepted is safe in the journal
            _log.warning("the journal of %s stays: %s", self.path.name, error)
        size = 0 if self._journal is None else self._journal.size
        self._checkpoint_at = size + CHECKPOINT_BYTES if self._is_unsaved else CHECKPOINT_BYTES

    def _play_back(self) -> None:
        """Copy what the journal holds into the project file, which gets a new token.

        Raises:
            sqlite3.Error, OSError
        """
        if not self.is_wal:
            if self._tokens == ("",):
                with transaction(self.connection):
                    write_token(self.connection, token := new_token())
                self._tokens = (token,)
            return
        token = new_token()
        tokens = (*self._tokens, token)  # a reader may keep the file at the first of them, however often this is tried
        if self._lock is not None:
            self._lock.note(tokens)  # on the disk before the first byte of it is in the file
        with self._look:
            self._tokens = tokens
            with transaction(self.connection):
                write_token(self.connection, token)
            busy, frames, done = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if not busy and frames == done:
                self._tokens, self._is_unsaved = (token,), False
            self._identity = FileIdentity.of(self.path)
            self._remember()

    @contextmanager
    def kept_open(self) -> Iterator[bool]:
        """Round what another thread does with the file: closing waits for it. The answer is whether it is still open;
        a connection that is closed while it is asked ends the program."""
        with self._use:
            yield not self._is_closed

    @property
    def has_work(self) -> bool:
        """Whether anything was accepted, changed or undone since the file was opened."""
        return self._is_writer and edit_mark(self.connection) != self._opened_at

    def rescue(self) -> Path:
        """Save what is open beside the file that has taken its place, under a name that says so; any thread.

        Raises:
            ProjectError: it cannot be written, or too much was in the file alone that was written over.
        """
        state = self.state()
        with translated_errors(self.path, "rescued"):
            (pages,), (page_bytes,) = (
                self.connection.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size")
            )
            if state not in (FileState.GONE, FileState.REPLACED) and pages * page_bytes > CACHE_BYTES:
                raise ProjectError(f"{brief(self.path.name)} is too large to be rescued from memory.", RESTORE)
            place = save_rescued(self.connection, self.path)
        self.on_rescued(place)
        self._is_rescued = state.is_foreign  # nothing can be added to it any more
        return place

    # --- the end ------------------------------------------------------------------------------------------------------

    def close(self) -> Path | None:
        """Close the file and give the lock back; doing it twice is harmless. What another file has the place of is not
        touched.

        Returns:
            Where the project was rescued to, when it would have been lost.
        """
        with self._use:
            if self._is_closed:
                return None
            self._is_closed = True
            return self._close()

    def _close(self) -> Path | None:
        rescued = None
        try:
            state = self.state(is_thorough=True)
            if not self._is_writer:
                self._close_reader(state)
            elif state is FileState.OURS:
                self._close_ours()
            else:
                rescued = self._close_lost(state)
        finally:
            self._let_go()
        return rescued

    def _close_reader(self, state: FileState) -> None:
        """A reader puts nothing into another file. A journal goes with the last one when it is this file's."""
        found = FileIdentity.of(journal_path(self.path))
        if self._guard is None or found is None or self._journal is None or state is not FileState.OURS:
            return
        if found.is_same_file(self._journal) and (found.size == 0 or belongs(self.path, noted_tokens(self.path))):
            self._guard.close()
            self._guard = None

    def _close_ours(self) -> None:
        try:
            if self._is_unsaved:
                self._play_back()
            if self.is_wal:
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # a reader may stay: it gets no old journal
        except (
            sqlite3.Error,
            UnicodeDecodeError,
            OSError,
        ) as error:  # a full disk: it stays in the journal, which the next one reads
            _log.warning("the journal of %s stays: %s", self.path.name, error)
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def _close_lost(self, state: FileState) -> Path | None:
        """Nothing may stay beside a foreign file that would be played into it."""
        rescued, is_lost = None, False
        is_moved = state is FileState.GONE and self._lock is not None and bool(self._lock.links()) and self._follow()
        try:
            if not self._is_rescued and not is_moved and self.has_work:
                is_lost = True
                rescued = self.rescue()
                is_lost = False
        except (sqlite3.Error, UnicodeDecodeError, ProjectError, OSError) as error:
            _log.error("%s could not be rescued: %s", self.path.name, error)
        journal = self._journal
        self.connection.close()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._clear_journal(journal, is_needed=is_lost)
        return rescued

    def _follow(self) -> bool:
        """Bring everything into the file that was moved to a place unknown; whether that went well."""
        try:
            busy, frames, done = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            _log.warning("the journal of %s stays: %s", self.path.name, error)
            return False
        return not busy and frames == done

    def _clear_journal(self, ours: FileIdentity | None, *, is_needed: bool) -> None:
        path = journal_path(self.path)
        found = FileIdentity.of(path)
        if ours is None or found is None or not found.is_same_file(ours):
            return  # it is gone, or came with the other file
        try:
            if is_needed:
                _log.error("what was not saved is in %s", set_aside(self.path, "unsaved").name)
            else:
                path.unlink()
                shared_memory_path(self.path).unlink(missing_ok=True)
        except OSError as error:
            _log.error("the journal of %s cannot be taken away: %s", self.path.name, error)

    def _let_go(self) -> None:
        self.connection.close()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        if self._place is not None:
            InodeLock.leave(self._place)
            self._place = None
        if self._lock is not None:
            # A reader may have kept the journal from being played back: then the note stays with it.
            self._lock.release(keep_note=self._is_writer and self.is_wal and has_journal(self.path))
            self._lock = None
