-- The control plane's first store. Bodies are JSON objects; columns beside them are what is searched by.
-- Later steps only expand: the build before must still be able to read and write.

CREATE TABLE self (
    name TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id    TEXT PRIMARY KEY NOT NULL,
    email TEXT NOT NULL UNIQUE,
    admin INTEGER NOT NULL,
    body  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id     TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL REFERENCES users (id),
    hash   TEXT NOT NULL UNIQUE,
    body   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_of_holder ON tokens (holder, id);

CREATE TABLE grantee_keys (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    holder  TEXT NOT NULL REFERENCES users (id),
    current INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX grantee_keys_of_holder ON grantee_keys (holder, number);
CREATE UNIQUE INDEX one_current_key ON grantee_keys (holder) WHERE current = 1;

CREATE TABLE connectors (
    id   TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE connector_tokens (
    hash      TEXT PRIMARY KEY NOT NULL,
    connector TEXT NOT NULL REFERENCES connectors (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX connector_tokens_of_connector ON connector_tokens (connector);

CREATE TABLE drivers (
    connector TEXT NOT NULL REFERENCES connectors (id),
    kind      TEXT NOT NULL,
    catalogue TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (connector, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
    connector   TEXT PRIMARY KEY NOT NULL REFERENCES connectors (id),
    incarnation TEXT NOT NULL,
    last        INTEGER NOT NULL,
    taken       INTEGER NOT NULL,
    may_skip    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    connector TEXT NOT NULL REFERENCES connectors (id),
    position  INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (connector, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE report_cursors (
    connector TEXT NOT NULL REFERENCES connectors (id),
    journal   TEXT NOT NULL,
    position  INTEGER NOT NULL,
    PRIMARY KEY (connector, journal)
) STRICT, WITHOUT ROWID;

CREATE TABLE strays (
    connector TEXT NOT NULL REFERENCES connectors (id),
    access    TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (connector, access)
) STRICT, WITHOUT ROWID;

CREATE TABLE offers (
    id        TEXT PRIMARY KEY NOT NULL,
    connector TEXT NOT NULL REFERENCES connectors (id),
    kind      TEXT NOT NULL,
    retired   INTEGER NOT NULL,
    body      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX offers_of_connector ON offers (connector, id);

CREATE TABLE conditions (
    offer TEXT PRIMARY KEY NOT NULL REFERENCES offers (id),
    body  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One snapshot of an integration is present; others are under way until their last page has come.
CREATE TABLE snapshots (
    offer    TEXT NOT NULL REFERENCES offers (id),
    snapshot TEXT NOT NULL,
    pages    INTEGER NOT NULL,
    present  INTEGER NOT NULL,
    body     TEXT,
    PRIMARY KEY (offer, snapshot)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_present_snapshot ON snapshots (offer) WHERE present = 1;

CREATE TABLE resources (
    offer    TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    place    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    words    TEXT NOT NULL,
    body     TEXT NOT NULL,
    PRIMARY KEY (offer, snapshot, place),
    FOREIGN KEY (offer, snapshot) REFERENCES snapshots (offer, snapshot) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
    id        TEXT PRIMARY KEY NOT NULL,
    grantee   TEXT NOT NULL REFERENCES users (id),
    offer     TEXT NOT NULL REFERENCES offers (id),
    connector TEXT NOT NULL REFERENCES connectors (id),
    word      TEXT NOT NULL,
    over      INTEGER NOT NULL,
    ordered   INTEGER NOT NULL,
    live      INTEGER NOT NULL,
    revision  INTEGER NOT NULL,
    until     INTEGER NOT NULL,
    body      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_of_grantee ON requests (grantee, id);
CREATE INDEX requests_of_offer ON requests (offer, id);
CREATE INDEX requests_by_word ON requests (word, id);
CREATE INDEX requests_ordered ON requests (connector, id) WHERE ordered = 1;

CREATE TABLE events (
    request TEXT NOT NULL REFERENCES requests (id),
    number  INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (request, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    request TEXT PRIMARY KEY NOT NULL REFERENCES requests (id),
    body    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE chain_heads (
    connector TEXT NOT NULL REFERENCES connectors (id),
    offer     TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (connector, offer)
) STRICT, WITHOUT ROWID;

CREATE TABLE receipts (
    place     INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL REFERENCES connectors (id),
    offer     TEXT NOT NULL,
    number    INTEGER NOT NULL,
    access    TEXT,
    body      TEXT NOT NULL
) STRICT;
CREATE INDEX receipts_of_chain ON receipts (connector, offer, number);
CREATE INDEX receipts_of_offer ON receipts (offer, place);
CREATE INDEX receipts_of_access ON receipts (access, place);

CREATE TABLE audit (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    who     TEXT NOT NULL,
    what    TEXT NOT NULL,
    subject TEXT NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject, number);
CREATE INDEX audit_by_who ON audit (who, number);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER receipts_are_not_changed BEFORE UPDATE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts are only added to'); END;
CREATE TRIGGER receipts_are_not_cut BEFORE DELETE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts are only added to'); END;

CREATE TABLE remembered (
    actor TEXT NOT NULL REFERENCES users (id),
    name  TEXT NOT NULL,
    at    INTEGER NOT NULL,
    body  TEXT NOT NULL,
    PRIMARY KEY (actor, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX remembered_by_time ON remembered (at);
