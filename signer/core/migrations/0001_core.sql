-- +goose Up
-- The trust anchor of all acts: set once, never changed.
CREATE TABLE signer_core_genesis (
    one       BIGINT PRIMARY KEY CHECK (one = 1),
    hash      BYTEA  NOT NULL,
    pinned_at BIGINT NOT NULL
);

-- Acts as accepted, without gaps. Two nodes that accept at once collide in seq.
CREATE TABLE signer_core_act (
    seq         BIGINT NOT NULL,
    hash        BYTEA  NOT NULL,
    raw         BYTEA  NOT NULL,
    entry       TEXT   NOT NULL,
    accepted_at BIGINT NOT NULL,
    CONSTRAINT signer_core_act_pk PRIMARY KEY (seq),
    CONSTRAINT signer_core_act_hash UNIQUE (hash)
);

-- Signature counters of passkeys (WebAuthn L3 §7.2 step 22).
CREATE TABLE signer_core_counter (
    key_hash BYTEA  PRIMARY KEY,
    counter  BIGINT NOT NULL,
    used_at  BIGINT NOT NULL
);

-- Personal keys: one in use for each person and capacity (appointment, or none).
CREATE TABLE signer_core_key (
    id          TEXT   PRIMARY KEY,
    person      TEXT   NOT NULL,
    appointment TEXT   NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('new', 'certified', 'retired')),
    chain       BYTEA  NOT NULL,
    certificate BYTEA  NOT NULL,
    not_after   BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    retired_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX signer_core_key_current ON signer_core_key (person, appointment) WHERE state <> 'retired';

-- Activations: open → intent → signed → done, or failed or abandoned on the way.
CREATE TABLE signer_core_activation (
    id           TEXT   PRIMARY KEY,
    request      TEXT   NOT NULL,
    person       TEXT   NOT NULL,
    epoch        BIGINT NOT NULL,
    appointment  TEXT   NOT NULL,
    client       TEXT   NOT NULL,
    institution  TEXT   NOT NULL,
    key_id       TEXT   NOT NULL,
    chain        BYTEA  NOT NULL,
    preimage     BYTEA  NOT NULL,
    challenge    BYTEA  NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('open', 'intent', 'signed', 'done', 'failed', 'abandoned')),
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    used_at      BIGINT NOT NULL,
    signed_at    BIGINT NOT NULL,
    cose         BYTEA  NOT NULL,
    auth_data    BYTEA  NOT NULL,
    client_data  BYTEA  NOT NULL,
    assertion    BYTEA  NOT NULL,
    ocsp         BYTEA  NOT NULL,
    intent_entry TEXT   NOT NULL,
    result_entry TEXT   NOT NULL,
    failure      TEXT   NOT NULL,
    CONSTRAINT signer_core_activation_challenge UNIQUE (challenge)
);
CREATE INDEX signer_core_activation_unfinished ON signer_core_activation (used_at) WHERE state IN ('intent', 'signed');
CREATE INDEX signer_core_activation_open ON signer_core_activation (expires_at) WHERE state = 'open';

CREATE TABLE signer_core_document (
    activation TEXT   NOT NULL REFERENCES signer_core_activation (id),
    pos        BIGINT NOT NULL,
    session    BYTEA  NOT NULL,
    pages      BYTEA  NOT NULL,
    attributes BYTEA  NOT NULL,
    value      BYTEA  NOT NULL,
    token      BYTEA  NOT NULL,
    cms        BYTEA  NOT NULL,
    tail       BYTEA  NOT NULL,
    achieved   TEXT   NOT NULL,
    CONSTRAINT signer_core_document_pk PRIMARY KEY (activation, pos)
);
