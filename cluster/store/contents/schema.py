"""The SQL of the contents' database, `contents.db`, which is one of its own: so nothing here delays scheduling."""

APPLICATION_ID = 0x636C6374  # "clct"
VERSION = 3

# A large content has no row in small: it is a file. `held`: what a tree that is used holds, itself included; a content
# that is used and no tree holds itself alone. `tree`: what those come to that are used, or were.
SCHEMA = (
    """CREATE TABLE content (
        id INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        came REAL NOT NULL
    )""",
    "CREATE INDEX content_came ON content (came, size)",
    "CREATE TABLE small (content INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE sender (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE sent (
        content INTEGER NOT NULL, sender INTEGER NOT NULL, PRIMARY KEY (content, sender)
    ) WITHOUT ROWID""",
    """CREATE TABLE held (
        tree INTEGER NOT NULL, content INTEGER NOT NULL, PRIMARY KEY (tree, content)
    ) WITHOUT ROWID""",
    "CREATE INDEX held_content ON held (content)",
    "CREATE TABLE tree (content INTEGER PRIMARY KEY, files INTEGER, directories INTEGER, bytes INTEGER)",
    """CREATE TABLE used (
        by TEXT NOT NULL, tree INTEGER NOT NULL, sender INTEGER NOT NULL, since REAL NOT NULL, PRIMARY KEY (by, tree)
    ) WITHOUT ROWID""",
    "CREATE INDEX used_tree ON used (tree, sender)",
)
# Who used something once, and what that held was let go since: when and why. With version 2.
EXPIRED_SCHEMA = ("""CREATE TABLE expired (by TEXT PRIMARY KEY, at REAL NOT NULL, why TEXT NOT NULL) WITHOUT ROWID""",)
# Whose the job is that uses it. With version 3; of what was used before, nobody's.
OWNER_SCHEMA = (
    "ALTER TABLE used ADD COLUMN owner TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX used_owner ON used (owner, tree)",
)
OF_VERSION = (SCHEMA, EXPIRED_SCHEMA, OWNER_SCHEMA)

ADD_CONTENT = "INSERT INTO content (digest, size, came) VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET came = ?3"
# Of many small ones together, numbered from NEXT on, so that none is looked up by its digest again.
NEXT = "SELECT coalesce(max(id), 0) + 1 FROM content"
NEW_CONTENT = "INSERT INTO content (id, digest, size, came) VALUES (?, ?, ?, ?)"
NEW_SMALL = "INSERT INTO small (content, data) VALUES (?, ?)"
NEW_SENT = "INSERT OR IGNORE INTO sent (content, sender) VALUES (?, ?)"
ADD_SENT = "INSERT OR IGNORE INTO sent (content, sender) SELECT id, ? FROM content WHERE digest = ?"
ADD_SENDER = "INSERT OR IGNORE INTO sender (name) VALUES (?)"
SENDER = "SELECT id FROM sender WHERE name = ?"
ADD_HELD = "INSERT OR IGNORE INTO held (tree, content) VALUES (?, ?)"
ADD_USED = "INSERT OR IGNORE INTO used (by, tree, sender, since, owner) VALUES (?, ?, ?, ?, ?)"
ADD_TREE = "INSERT OR REPLACE INTO tree (content, files, directories, bytes) VALUES (?, ?, ?, ?)"
TREE = "SELECT files, directories, bytes FROM tree WHERE content = ?"
IS_USED = "SELECT 1 FROM used WHERE tree = ? AND (? OR sender = ?) LIMIT 1"

# Of these digests, {} being as many question marks: those that the sender has sent, or whoever.
SENT = """SELECT digest, id, size FROM content JOIN sent ON content = id
    WHERE digest IN ({}) AND sender = ?"""
PRESENT = "SELECT digest, id, size FROM content WHERE digest IN ({})"
SMALL_DATA = "SELECT digest, data FROM content JOIN small ON content = id WHERE digest IN ({})"
HELD_OF = """SELECT count(*) FROM held JOIN content ON content = id
    WHERE digest IN ({}) AND tree = (SELECT id FROM content WHERE digest = ?)"""
OLD = "SELECT id FROM content WHERE digest IN ({}) AND came < ?"
TOUCH = "UPDATE content SET came = ? WHERE id = ?"

USES_OF = "SELECT tree FROM used WHERE by = ?"
HAND_DOWN = """INSERT OR IGNORE INTO used (by, tree, sender, since, owner)
    SELECT ?2, tree, sender, ?3, owner FROM used WHERE by = ?1 AND NOT EXISTS (SELECT 1 FROM expired WHERE by = ?2)"""
RELEASE = "DELETE FROM used WHERE by = ?"
FREE = "DELETE FROM held WHERE tree = ?1 AND NOT EXISTS (SELECT 1 FROM used WHERE tree = ?1)"
USERS = """SELECT by FROM used WHERE by > ?1 AND since < ?2 UNION SELECT by FROM expired WHERE by > ?1 AND at < ?2
    ORDER BY by LIMIT ?3"""

# What a tree holds and no other does, once it is used by nobody: it may go at once.
ALONE = """SELECT c.id, c.size FROM held AS h JOIN content AS c ON c.id = h.content
    WHERE h.tree = ?1 AND NOT EXISTS (SELECT 1 FROM used WHERE tree = ?1)
    AND NOT EXISTS (SELECT 1 FROM held AS o WHERE o.content = h.content AND o.tree != ?1)"""
HELD_BYTES = "SELECT coalesce(sum(size), 0) FROM content WHERE EXISTS (SELECT 1 FROM held WHERE held.content = id)"
# Each content counts once for each owner.
OWNERS = "SELECT DISTINCT owner FROM used WHERE owner != ''"
OWNED_BYTES = """SELECT coalesce(sum(size), 0) FROM content
    WHERE id IN (SELECT content FROM held WHERE tree IN (SELECT tree FROM used WHERE owner = ?))"""
HELD_FILES = """SELECT digest, size FROM content
    WHERE size > ? AND EXISTS (SELECT 1 FROM held WHERE held.content = id)"""
ADD_EXPIRED = "INSERT OR REPLACE INTO expired (by, at, why) VALUES (?, ?, ?)"
USED_BY = "SELECT digest FROM used JOIN content ON content.id = used.tree WHERE by = ?"
GET_EXPIRED = "SELECT at, why FROM expired WHERE by = ?"
FORGET_EXPIRED = "DELETE FROM expired WHERE by = ?"

SPACE = "SELECT count(*), coalesce(sum(size), 0) FROM content"
OVER = """SELECT id, digest, size FROM content
    WHERE came < ? AND NOT EXISTS (SELECT 1 FROM held WHERE held.content = content.id) LIMIT ?"""
FORGET = (
    "DELETE FROM small WHERE content = ?",
    "DELETE FROM sent WHERE content = ?",
    "DELETE FROM tree WHERE content = ?",
    "DELETE FROM content WHERE id = ?",
)
