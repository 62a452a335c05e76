-- +goose Up
-- The user handle that authenticators keep: random, never the person's id.
CREATE TABLE enrolment_handle (
    person     TEXT PRIMARY KEY,
    handle     BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT enrolment_handle_unique UNIQUE (handle)
);

-- Every credential ever bound; none is deleted. record is sealed.
CREATE TABLE enrolment_credential (
    id            TEXT PRIMARY KEY,
    person        TEXT NOT NULL REFERENCES enrolment_handle (person),
    rp_id         TEXT NOT NULL,
    credential_id BYTEA NOT NULL,
    record        BYTEA NOT NULL,
    label         TEXT NOT NULL CHECK (length(label) <= 60),
    state         TEXT NOT NULL CHECK (state IN ('active', 'suspect', 'suspended', 'revoked')),
    backup_eligible BIGINT NOT NULL CHECK (backup_eligible IN (0, 1)),
    backed_up     BIGINT NOT NULL CHECK (backed_up IN (0, 1)),
    attested      BIGINT NOT NULL CHECK (attested IN (0, 1)),
    sign_count    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    used_at       BIGINT,
    changed_at    BIGINT NOT NULL,
    CONSTRAINT enrolment_credential_unique UNIQUE (rp_id, credential_id)
);
CREATE INDEX enrolment_credential_person ON enrolment_credential (person, created_at);

-- A ceremony under way, consumed by deletion before anything is verified.
CREATE TABLE enrolment_ceremony (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('create', 'get')),
    purpose    TEXT NOT NULL CHECK (purpose IN ('enrol', 'login', 'step-up', 'sign', 'act', 'recover')),
    person     TEXT NOT NULL,
    binding    BYTEA NOT NULL,
    session    TEXT NOT NULL,
    preimage   BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX enrolment_ceremony_expires ON enrolment_ceremony (expires_at);
