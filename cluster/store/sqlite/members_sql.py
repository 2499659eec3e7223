"""The statements of the SQLite store about users, tokens and enrolments."""

from cluster.store.sqlite.schema import upsert


def _page(table: str, *columns: str, key: str) -> str:
    """SELECT of at most :most rows (-1: all) in the order in which they were created, from after the one whose key is
    :after (empty: from the first; nothing after one that there is not)."""
    return f"""
        SELECT {", ".join(columns)} FROM {table}
        WHERE (created, {key}) > (
            CASE WHEN :after = '' THEN -1e300
            ELSE coalesce((SELECT created FROM {table} WHERE {key} = :after), 1e300) END,
            :after
        )
        ORDER BY created, {key} LIMIT :most
    """  # noqa: S608 (no input)


USER_COLUMNS = ("name", "role", "created", "revoked", "holder")
PUT_USER = upsert("users", *USER_COLUMNS, keys=1)
LIST_USERS = _page("users", *USER_COLUMNS, key="name")

TOKEN_COLUMNS = (
    *("id", "secret_hash", "role", "user", "created", "expires", "uses_left", "revoked", "maker", "maker_enrolment"),
    "bearer",
)
PUT_TOKEN = upsert("tokens", *TOKEN_COLUMNS, keys=1)
LIST_TOKENS = _page("tokens", *TOKEN_COLUMNS, key="id")

ENROLMENT_COLUMNS = ("kind", "name", "id", "token", "joined", "revoked")
PUT_ENROLMENT = upsert("enrolments", *ENROLMENT_COLUMNS, keys=3)
DROP_ENROLMENT = "DELETE FROM enrolments WHERE kind = ? AND name = ? AND id = ?"
LOAD_ENROLMENTS = f"SELECT {', '.join(ENROLMENT_COLUMNS)} FROM enrolments ORDER BY joined, kind, name, id"  # noqa: S608
# Who has joined by a token, and was not expelled: the first of them, and how many; and how many times a user has.
GET_JOINED = f"""
    SELECT {", ".join(ENROLMENT_COLUMNS)} FROM enrolments
    WHERE token = ? AND revoked IS NULL ORDER BY joined, kind, name, id LIMIT ?
"""  # noqa: S608 (no input)
COUNT_JOINED = "SELECT count(*) FROM enrolments WHERE token = ? AND revoked IS NULL"
COUNT_JOININGS = "SELECT count(*) FROM enrolments WHERE kind = ? AND name = ? AND token != '' AND revoked IS NULL"
