-- +goose Up
-- RSA keys that sign with PSS, and with nothing else. SQLite changes a check by
-- making the table anew; nothing refers to it.
CREATE TABLE key_private_next (
    id             TEXT   NOT NULL,
    purpose        TEXT   NOT NULL,
    alg            TEXT   NOT NULL,
    owner          TEXT   NOT NULL,
    state          TEXT   NOT NULL,
    version        BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    publish_at     BIGINT NOT NULL,
    activate_at    BIGINT,
    retire_at      BIGINT,
    destroyed_at   BIGINT,
    kek_generation BIGINT,
    spki_sha256    BYTEA  NOT NULL,
    spki           BYTEA  NOT NULL,
    sealed         BYTEA  NOT NULL,
    CONSTRAINT key_private_pk PRIMARY KEY (id),
    CONSTRAINT key_private_spki UNIQUE (spki_sha256),
    CONSTRAINT key_private_kek FOREIGN KEY (kek_generation) REFERENCES key_kek (generation),
    CONSTRAINT key_private_alg_check CHECK (alg IN ('ES256', 'ES384', 'EdDSA', 'RS256', 'RSA3072', 'PS256')),
    CONSTRAINT key_private_state_check CHECK (state IN ('pending', 'active', 'retiring', 'retired', 'destroyed')),
    CONSTRAINT key_private_hash_check CHECK (length(spki_sha256) = 32),
    CONSTRAINT key_private_sealed_check CHECK (
        (state = 'destroyed' AND kek_generation IS NULL AND destroyed_at IS NOT NULL AND length(sealed) = 0)
        OR (state <> 'destroyed' AND kek_generation IS NOT NULL AND destroyed_at IS NULL AND length(sealed) > 0))
);
INSERT INTO key_private_next (id, purpose, alg, owner, state, version, created_at, publish_at, activate_at, retire_at, destroyed_at, kek_generation, spki_sha256, spki, sealed)
    SELECT id, purpose, alg, owner, state, version, created_at, publish_at, activate_at, retire_at, destroyed_at, kek_generation, spki_sha256, spki, sealed FROM key_private;
DROP TABLE key_private;
ALTER TABLE key_private_next RENAME TO key_private;
CREATE INDEX key_private_by_purpose ON key_private (purpose, owner, state);
CREATE INDEX key_private_by_kek ON key_private (kek_generation, id);
