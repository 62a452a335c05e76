-- +goose Up
-- sn is the certificate's number: 17 octets, the first of which is the node's
-- prefix. Hashes are SHA-256 unless said otherwise.

-- ca_instance: which node draws numbers under which first octet.
CREATE TABLE ca_instance (
    prefix BIGINT NOT NULL,
    node   TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    CONSTRAINT ca_instance_pk PRIMARY KEY (prefix),
    CONSTRAINT ca_instance_node UNIQUE (node),
    CONSTRAINT ca_instance_prefix CHECK (prefix BETWEEN 1 AND 127 AND length(node) BETWEEN 1 AND 100)
);

-- ca_authority: the root and the issuing authorities, by generation. slug names
-- one in addresses. A pending one has an intent and no certificate yet.
CREATE TABLE ca_authority (
    slug       TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    generation BIGINT NOT NULL,
    parent     TEXT   NOT NULL, -- slug; a root's is its own
    key_id     TEXT   NOT NULL, -- private key in the key store
    sn         BYTEA  NOT NULL,
    state      TEXT   NOT NULL,
    at         BIGINT NOT NULL,
    CONSTRAINT ca_authority_pk PRIMARY KEY (slug),
    CONSTRAINT ca_authority_generation UNIQUE (kind, generation),
    CONSTRAINT ca_authority_sn UNIQUE (sn),
    CONSTRAINT ca_authority_parent FOREIGN KEY (parent) REFERENCES ca_authority (slug),
    CONSTRAINT ca_authority_state CHECK (state IN ('pending', 'active', 'abandoned'))
);

-- ca_public_key: whose key it is. One key never serves two subjects, and a
-- blocked one (why is not empty) serves nobody again.
CREATE TABLE ca_public_key (
    spki_sha256 BYTEA  NOT NULL,
    subject     TEXT   NOT NULL, -- person id, or authority:…, service:…; empty: only blocked
    why         TEXT   NOT NULL,
    at          BIGINT NOT NULL,
    CONSTRAINT ca_public_key_pk PRIMARY KEY (spki_sha256),
    CONSTRAINT ca_public_key_hash CHECK (length(spki_sha256) = 32)
);

-- ca_intent: every number ever drawn, with exactly what was to be signed. It is
-- written before the issuer's key is used.
CREATE TABLE ca_intent (
    sn            BYTEA  NOT NULL,
    issuer        TEXT   NOT NULL,
    kind          TEXT   NOT NULL,
    profile_hash  TEXT   NOT NULL,
    intent        TEXT   NOT NULL, -- the caller's idempotency key
    request_hash  BYTEA  NOT NULL,
    subject       TEXT   NOT NULL,
    person        TEXT   NOT NULL, -- empty for authorities and services
    appointment   TEXT   NOT NULL,
    epoch         BIGINT NOT NULL, -- of the person at the decision; 0 if there is none
    key_id        TEXT   NOT NULL, -- own private key of an authority or service, or empty
    spki_sha256   BYTEA  NOT NULL,
    tbs           BYTEA  NOT NULL,
    not_before    BIGINT NOT NULL,
    not_after     BIGINT NOT NULL,
    state         TEXT   NOT NULL,
    audit_intent  TEXT   NOT NULL,
    audit_outcome TEXT   NOT NULL,
    at            BIGINT NOT NULL,
    CONSTRAINT ca_intent_pk PRIMARY KEY (sn),
    CONSTRAINT ca_intent_intent UNIQUE (intent),
    CONSTRAINT ca_intent_issuer FOREIGN KEY (issuer) REFERENCES ca_authority (slug),
    CONSTRAINT ca_intent_key FOREIGN KEY (spki_sha256) REFERENCES ca_public_key (spki_sha256),
    CONSTRAINT ca_intent_state CHECK (state IN ('intended', 'issued', 'abandoned')),
    CONSTRAINT ca_intent_sn CHECK (length(sn) = 17 AND length(request_hash) = 32),
    CONSTRAINT ca_intent_outcome CHECK ((state = 'intended') = (audit_outcome = ''))
);
CREATE INDEX ca_intent_open ON ca_intent (at) WHERE state = 'intended';
CREATE INDEX ca_intent_person ON ca_intent (person, not_after) WHERE person <> '';
CREATE INDEX ca_intent_appointment ON ca_intent (appointment) WHERE appointment <> '';
CREATE INDEX ca_intent_service ON ca_intent (issuer, kind, not_before) WHERE person = '';
CREATE INDEX ca_intent_spki ON ca_intent (spki_sha256);

-- ca_certificate: what was signed. No row without its intent.
CREATE TABLE ca_certificate (
    sn        BYTEA  NOT NULL,
    sha256    BYTEA  NOT NULL,
    der       BYTEA  NOT NULL,
    issued_at BIGINT NOT NULL,
    CONSTRAINT ca_certificate_pk PRIMARY KEY (sn),
    CONSTRAINT ca_certificate_sha256 UNIQUE (sha256),
    CONSTRAINT ca_certificate_intent FOREIGN KEY (sn) REFERENCES ca_intent (sn)
);

-- ca_revocation: final. entry is the encoded CRL entry; issuer repeats the
-- intent's, for the list.
CREATE TABLE ca_revocation (
    sn         BYTEA  NOT NULL,
    issuer     TEXT   NOT NULL,
    reason     BIGINT NOT NULL, -- CRLReason, RFC 5280 section 5.3.1
    revoked_at BIGINT NOT NULL,
    actor      TEXT   NOT NULL,
    entry      BYTEA  NOT NULL,
    CONSTRAINT ca_revocation_pk PRIMARY KEY (sn),
    CONSTRAINT ca_revocation_intent FOREIGN KEY (sn) REFERENCES ca_intent (sn),
    CONSTRAINT ca_revocation_reason CHECK (reason IN (0, 1, 3, 4, 5, 9))
);
CREATE INDEX ca_revocation_list ON ca_revocation (issuer, revoked_at, sn);

-- ca_crl: lists as published. der of old ones is dropped, their hash stays.
CREATE TABLE ca_crl (
    issuer      TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    entries     BIGINT NOT NULL,
    sha256      BYTEA  NOT NULL,
    der         BYTEA,
    CONSTRAINT ca_crl_pk PRIMARY KEY (issuer, number),
    CONSTRAINT ca_crl_issuer FOREIGN KEY (issuer) REFERENCES ca_authority (slug),
    CONSTRAINT ca_crl_number CHECK (number >= 1 AND next_update > this_update AND entries >= 0)
);

-- ca_ocsp: answers signed ahead. They count only while they say what
-- ca_revocation says.
CREATE TABLE ca_ocsp (
    sn          BYTEA  NOT NULL,
    hash        BIGINT NOT NULL, -- of the CertID: 1 or 256
    revoked     BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    der         BYTEA  NOT NULL,
    CONSTRAINT ca_ocsp_pk PRIMARY KEY (sn, hash),
    CONSTRAINT ca_ocsp_certificate FOREIGN KEY (sn) REFERENCES ca_intent (sn),
    CONSTRAINT ca_ocsp_hash CHECK (hash IN (1, 256) AND revoked IN (0, 1))
);
CREATE INDEX ca_ocsp_due ON ca_ocsp (next_update);
