-- Format 1. `sum` is the CRC-32 of what stands beside it (see src/sqlite/sums.rs).
PRAGMA application_id = 1414087749; -- "TIDE"

CREATE TABLE format (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    version    INTEGER NOT NULL, -- the newest format whose steps were run
    min_reader INTEGER NOT NULL  -- the oldest format a build must know to read and write here
) STRICT;
INSERT INTO format (one, version, min_reader) VALUES (1, 1, 1);

CREATE TABLE head (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    incarnation TEXT    NOT NULL,
    committed   INTEGER NOT NULL, -- reports through this one are committed in the control plane, and dropped here
    sum         INTEGER NOT NULL
) STRICT;

CREATE TABLE account     (key TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE integration (key TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE tombstone   (key TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE meta        (key TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;

CREATE TABLE report (
    position INTEGER PRIMARY KEY,
    body     TEXT    NOT NULL,
    sum      INTEGER NOT NULL
) STRICT;

CREATE TABLE receipt (
    integration TEXT    NOT NULL,
    number      INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    sum         INTEGER NOT NULL,
    PRIMARY KEY (integration, number)
) STRICT;
