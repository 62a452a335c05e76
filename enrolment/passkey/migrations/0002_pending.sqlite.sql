-- +goose Up
-- A passkey made at a counter by somebody who is known already is "pending": it
-- enters nowhere until two members of staff have approved its act. SQLite cannot
-- change a check, so the table is made anew.
CREATE TABLE enrolment_credential_new (
    id            TEXT PRIMARY KEY,
    person        TEXT NOT NULL REFERENCES enrolment_handle (person),
    rp_id         TEXT NOT NULL,
    credential_id BYTEA NOT NULL,
    record        BYTEA NOT NULL,
    label         TEXT NOT NULL CHECK (length(label) <= 60),
    state         TEXT NOT NULL CHECK (state IN ('pending', 'active', 'suspect', 'suspended', 'revoked')),
    backup_eligible BIGINT NOT NULL CHECK (backup_eligible IN (0, 1)),
    backed_up     BIGINT NOT NULL CHECK (backed_up IN (0, 1)),
    attested      BIGINT NOT NULL CHECK (attested IN (0, 1)),
    sign_count    BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    used_at       BIGINT,
    changed_at    BIGINT NOT NULL,
    CONSTRAINT enrolment_credential_unique UNIQUE (rp_id, credential_id)
);
INSERT INTO enrolment_credential_new (id, person, rp_id, credential_id, record, label, state, backup_eligible, backed_up, attested, sign_count, created_at, used_at, changed_at)
    SELECT id, person, rp_id, credential_id, record, label, state, backup_eligible, backed_up, attested, sign_count, created_at, used_at, changed_at FROM enrolment_credential;
DROP TABLE enrolment_credential;
ALTER TABLE enrolment_credential_new RENAME TO enrolment_credential;
CREATE INDEX enrolment_credential_person ON enrolment_credential (person, created_at);
