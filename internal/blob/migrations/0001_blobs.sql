-- +goose Up
-- blob_object: one row for each content and owner, written last. A blob is
-- there if and only if its row is.
CREATE TABLE blob_object (
    id         TEXT   NOT NULL,
    owner      TEXT   NOT NULL,
    sha256     BYTEA  NOT NULL,
    size       BIGINT NOT NULL,
    backend    TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    key_sealed BYTEA  NOT NULL,
    CONSTRAINT blob_object_pk PRIMARY KEY (id),
    CONSTRAINT blob_object_content UNIQUE (owner, sha256),
    CONSTRAINT blob_object_hash_check CHECK (length(sha256) = 32),
    CONSTRAINT blob_object_size_check CHECK (size >= 0)
);

CREATE INDEX blob_object_by_hash ON blob_object (sha256);

-- blob_loose: ids that have storage but no object: uploads under way
-- ("upload", touched by each chunk) and what is to be removed ("remove").
CREATE TABLE blob_loose (
    id      TEXT   NOT NULL,
    backend TEXT   NOT NULL,
    state   TEXT   NOT NULL,
    touched BIGINT NOT NULL,
    CONSTRAINT blob_loose_pk PRIMARY KEY (id),
    CONSTRAINT blob_loose_state_check CHECK (state IN ('upload', 'remove'))
);

CREATE INDEX blob_loose_by_state ON blob_loose (state, touched);

-- blob_chunk: sealed chunks of the database backend.
CREATE TABLE blob_chunk (
    blob_id TEXT   NOT NULL,
    n       BIGINT NOT NULL,
    sealed  BYTEA  NOT NULL,
    CONSTRAINT blob_chunk_pk PRIMARY KEY (blob_id, n)
);
