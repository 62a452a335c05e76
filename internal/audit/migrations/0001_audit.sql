-- +goose Up
-- audit_log: one row for each transparency log, that is for each origin. Only
-- the one with the highest number grows.
CREATE TABLE audit_log (
    number   BIGINT NOT NULL,
    origin   TEXT   NOT NULL,
    vkey     TEXT   NOT NULL, -- verifier key; a new key opens a new log
    size     BIGINT NOT NULL, -- leaves in the tree
    root     BYTEA  NOT NULL, -- root hash at size
    signed   BIGINT NOT NULL, -- greatest size with a stored checkpoint, -1 before the first
    previous BYTEA,           -- last checkpoint published by the log that this one continues
    at       BIGINT NOT NULL,
    CONSTRAINT audit_log_pk PRIMARY KEY (number),
    CONSTRAINT audit_log_origin UNIQUE (origin),
    CONSTRAINT audit_log_sizes CHECK (size >= 0 AND signed >= -1 AND signed <= size AND length(root) = 32)
);

-- audit_entry: who did what to whose datum, written in the transaction of the
-- act itself. Nothing but sealed (erasure) and the place in the log ever changes.
CREATE TABLE audit_entry (
    id           TEXT   NOT NULL,
    class        TEXT   NOT NULL, -- coarse public kind, stands in the leaf
    kind         TEXT   NOT NULL,
    subject      TEXT,            -- person whose datum it is
    actor        TEXT   NOT NULL,
    client       TEXT   NOT NULL,
    institution  TEXT   NOT NULL,
    purpose      TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    intent       TEXT,            -- the intent that this entry closes
    outcome      TEXT   NOT NULL,
    object       TEXT   NOT NULL,
    header_salt  BYTEA  NOT NULL,
    body         BYTEA  NOT NULL, -- what a third party may be shown
    body_salt    BYTEA  NOT NULL,
    owner        TEXT   NOT NULL, -- whose data key seals the content
    sealed       BYTEA,           -- salt and payload; NULL once erased
    content_hash BYTEA  NOT NULL,
    commitment   BYTEA  NOT NULL,
    log_number   BIGINT,
    leaf_index   BIGINT,
    CONSTRAINT audit_entry_pk PRIMARY KEY (id),
    CONSTRAINT audit_entry_intent_fk FOREIGN KEY (intent) REFERENCES audit_entry (id),
    CONSTRAINT audit_entry_log_fk FOREIGN KEY (log_number) REFERENCES audit_log (number),
    CONSTRAINT audit_entry_class CHECK (length(class) BETWEEN 1 AND 16),
    CONSTRAINT audit_entry_hashes CHECK (length(commitment) = 32 AND length(content_hash) = 32
        AND length(header_salt) = 32 AND length(body_salt) = 32),
    CONSTRAINT audit_entry_place CHECK ((log_number IS NULL) = (leaf_index IS NULL))
);

-- One outcome for each intent, one entry for each place in a log.
CREATE UNIQUE INDEX audit_entry_intent ON audit_entry (intent) WHERE intent IS NOT NULL;
CREATE UNIQUE INDEX audit_entry_leaf ON audit_entry (log_number, leaf_index) WHERE leaf_index IS NOT NULL;
-- What the sequencer has yet to place, however late it was committed.
CREATE INDEX audit_entry_pending ON audit_entry (at, id) WHERE leaf_index IS NULL;
CREATE INDEX audit_entry_subject ON audit_entry (subject, at, id) WHERE subject IS NOT NULL;

-- audit_open: the intents without an outcome, for recovery.
CREATE TABLE audit_open (
    id   TEXT   NOT NULL,
    kind TEXT   NOT NULL,
    at   BIGINT NOT NULL,
    CONSTRAINT audit_open_pk PRIMARY KEY (id),
    CONSTRAINT audit_open_entry FOREIGN KEY (id) REFERENCES audit_entry (id)
);
CREATE INDEX audit_open_at ON audit_open (at, id);

-- audit_tile: hash tiles of height 8. A tile only grows at its end.
CREATE TABLE audit_tile (
    log_number BIGINT NOT NULL,
    level      BIGINT NOT NULL,
    n          BIGINT NOT NULL,
    width      BIGINT NOT NULL,
    data       BYTEA  NOT NULL,
    CONSTRAINT audit_tile_pk PRIMARY KEY (log_number, level, n),
    CONSTRAINT audit_tile_log FOREIGN KEY (log_number) REFERENCES audit_log (number),
    CONSTRAINT audit_tile_width CHECK (width BETWEEN 1 AND 256 AND length(data) = 32 * width)
);

-- audit_checkpoint: every checkpoint that was signed and published.
CREATE TABLE audit_checkpoint (
    log_number BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    note       BYTEA  NOT NULL,
    at         BIGINT NOT NULL,
    CONSTRAINT audit_checkpoint_pk PRIMARY KEY (log_number, size),
    CONSTRAINT audit_checkpoint_log FOREIGN KEY (log_number) REFERENCES audit_log (number)
);
