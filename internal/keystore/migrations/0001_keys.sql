-- +goose Up
-- key_kek: the generations of the key encryption key that rows are sealed
-- under. The key itself is in the key file; here is only its fingerprint. The
-- newest generation is never deleted, so a number is never used twice; an
-- older one can be deleted only when no row refers to it any more.
CREATE TABLE key_kek (
    generation  BIGINT NOT NULL,
    fingerprint TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    CONSTRAINT key_kek_pk PRIMARY KEY (generation),
    CONSTRAINT key_kek_fingerprint UNIQUE (fingerprint),
    CONSTRAINT key_kek_generation_check CHECK (generation >= 1),
    CONSTRAINT key_kek_fingerprint_check CHECK (length(fingerprint) = 32)
);

-- key_private: private keys, PKCS #8 sealed; the public part in clear. A key
-- has one purpose: spki_sha256 is unique over all rows, destroyed ones too.
CREATE TABLE key_private (
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
    CONSTRAINT key_private_alg_check CHECK (alg IN ('ES256', 'ES384', 'EdDSA', 'RS256', 'RSA3072')),
    CONSTRAINT key_private_state_check CHECK (state IN ('pending', 'active', 'retiring', 'retired', 'destroyed')),
    CONSTRAINT key_private_hash_check CHECK (length(spki_sha256) = 32),
    CONSTRAINT key_private_sealed_check CHECK (
        (state = 'destroyed' AND kek_generation IS NULL AND destroyed_at IS NOT NULL AND length(sealed) = 0)
        OR (state <> 'destroyed' AND kek_generation IS NOT NULL AND destroyed_at IS NULL AND length(sealed) > 0))
);

CREATE INDEX key_private_by_purpose ON key_private (purpose, owner, state);
CREATE INDEX key_private_by_kek ON key_private (kek_generation, id);

-- key_data: one data key per owner. An erased one leaves its row as tombstone.
CREATE TABLE key_data (
    owner          TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    erased_at      BIGINT,
    kek_generation BIGINT,
    sealed         BYTEA  NOT NULL,
    CONSTRAINT key_data_pk PRIMARY KEY (owner),
    CONSTRAINT key_data_kek FOREIGN KEY (kek_generation) REFERENCES key_kek (generation),
    CONSTRAINT key_data_sealed_check CHECK (
        (erased_at IS NOT NULL AND kek_generation IS NULL AND length(sealed) = 0)
        OR (erased_at IS NULL AND kek_generation IS NOT NULL AND length(sealed) > 0))
);

CREATE INDEX key_data_by_kek ON key_data (kek_generation, owner);
