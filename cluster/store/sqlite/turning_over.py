"""A database of an older version gives the file system nothing back before it was written anew, once."""

import logging
import sqlite3
from pathlib import Path

from cluster.domain.base.quantities import format_size
from cluster.store.interface import StoreFailed
from cluster.store.sqlite.keeping_sql import INCREMENTAL

logger = logging.getLogger(__name__)

MOST_TURNED_OVER = 256 << 20  # bytes of a database for which that takes a second or two


def turn_over(db: sqlite3.Connection, path: Path, *, wanted: bool) -> None:
    """Writes it anew if it is of an older version. Unless that is `wanted`, a large one stays as it is, and so does one
    that there is no room for twice; else StoreFailed says so."""
    (gives_back,) = db.execute("PRAGMA auto_vacuum").fetchone()
    size = path.stat().st_size
    if gives_back == INCREMENTAL:
        return
    if not wanted and size > MOST_TURNED_OVER:
        logger.warning("%s gives no room back: start once with --turn-over, when a pause is no matter", path)
        return
    try:
        db.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        db.execute("VACUUM")
    except sqlite3.Error as error:
        if wanted:
            raise StoreFailed(
                f"{path} cannot be written anew: {error}; it takes {format_size(size)} more for a while"
            ) from error
