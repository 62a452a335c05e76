-- +goose Up
-- A person. What identifies the person is sealed under the person's own key;
-- the keyed hashes find a document without telling it.
CREATE TABLE enrolment_person (
    id         TEXT PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('solicitada', 'activa', 'suspendida', 'cerrada')),
    level      BIGINT NOT NULL CHECK (level BETWEEN 0 AND 3),
    doc_full   BYTEA NOT NULL,
    doc_login  BYTEA NOT NULL,
    profile    BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);
-- One proven, open record per document and birth date: the number alone is no
-- key, and whoever only says so (level 0) keeps nobody out.
CREATE UNIQUE INDEX enrolment_person_document ON enrolment_person (doc_full) WHERE level > 0 AND state <> 'cerrada';
CREATE INDEX enrolment_person_login ON enrolment_person (doc_login);

CREATE TABLE enrolment_password (
    person     TEXT PRIMARY KEY REFERENCES enrolment_person (id),
    hash       TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- A printed code card. A new one voids the one before.
CREATE TABLE enrolment_card (
    id         TEXT PRIMARY KEY,
    person     TEXT NOT NULL REFERENCES enrolment_person (id),
    salt       BYTEA NOT NULL,
    cells      BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    voided_at  BIGINT
);
CREATE UNIQUE INDEX enrolment_card_live ON enrolment_card (person) WHERE voided_at IS NULL;

CREATE TABLE enrolment_card_cell (
    card    TEXT NOT NULL REFERENCES enrolment_card (id),
    number  BIGINT NOT NULL,
    hash    BYTEA NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (card, number)
);

-- A question for one cell, consumed by its answer.
CREATE TABLE enrolment_card_challenge (
    id         TEXT PRIMARY KEY,
    person     TEXT NOT NULL,
    card       TEXT NOT NULL,
    cell       BIGINT NOT NULL,
    binding    BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX enrolment_card_challenge_expires ON enrolment_card_challenge (expires_at);

-- Failed tries, by keyed hash of what was typed, so that the unknown and the
-- known are throttled alike.
CREATE TABLE enrolment_card_failure (
    login     BYTEA NOT NULL,
    failed_at BIGINT NOT NULL,
    id        TEXT PRIMARY KEY
);
CREATE INDEX enrolment_card_failure_login ON enrolment_card_failure (login, failed_at);
