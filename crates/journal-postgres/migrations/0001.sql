-- Format 1. `sum` is the CRC-32 of what stands beside it, as in the SQLite journal (crates/journal/src/sums.rs).
CREATE TABLE format (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    version    int NOT NULL, -- the newest format whose steps were run
    min_reader int NOT NULL  -- the oldest format a build must know to read and write here
);
INSERT INTO format (version, min_reader) VALUES (1, 1);

-- Whoever writes locks this row first: so writers stand in a row, and none is of an epoch that is over.
CREATE TABLE head (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    connector   text   NOT NULL, -- whose journal this is
    incarnation text   NOT NULL,
    committed   bigint NOT NULL, -- reports through this one are committed in the control plane, and dropped here
    sum         bigint NOT NULL,
    epoch       bigint NOT NULL  -- only the instance that took the lease under this epoch may write
);

CREATE TABLE account     (key text COLLATE "C" PRIMARY KEY, body text NOT NULL, sum bigint NOT NULL);
CREATE TABLE integration (key text COLLATE "C" PRIMARY KEY, body text NOT NULL, sum bigint NOT NULL);
CREATE TABLE tombstone   (key text COLLATE "C" PRIMARY KEY, body text NOT NULL, sum bigint NOT NULL);
CREATE TABLE meta        (key text COLLATE "C" PRIMARY KEY, body text NOT NULL, sum bigint NOT NULL);

CREATE TABLE report (
    position bigint NOT NULL,
    body     text   NOT NULL,
    sum      bigint NOT NULL,
    PRIMARY KEY (position) DEFERRABLE -- reports are renumbered many at a time
);

CREATE TABLE receipt (
    integration text COLLATE "C" NOT NULL,
    number      bigint NOT NULL,
    body        text   NOT NULL,
    sum         bigint NOT NULL,
    PRIMARY KEY (integration, number)
);

-- Who acts for the connector, by this server's clock.
CREATE TABLE lease (
    connector text PRIMARY KEY,
    instance  uuid NOT NULL,
    epoch     bigint NOT NULL, -- rises with each taking
    until     timestamptz NOT NULL
);
