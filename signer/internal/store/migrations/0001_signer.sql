-- +goose Up
CREATE TABLE signer_document (
    id          TEXT   PRIMARY KEY,
    client      TEXT   NOT NULL,
    owner       TEXT   NOT NULL,
    sha256      BYTEA  NOT NULL,
    size        BIGINT NOT NULL CHECK (size > 0),
    pages       BIGINT NOT NULL,
    refusal     TEXT   NOT NULL,
    detail      TEXT   NOT NULL,
    warnings    TEXT   NOT NULL,
    created_at  BIGINT NOT NULL
);

CREATE TABLE signer_request (
    id             TEXT   PRIMARY KEY,
    client         TEXT   NOT NULL,
    client_name    TEXT   NOT NULL,
    institution    TEXT   NOT NULL,
    asker          TEXT   NOT NULL,
    owner          TEXT   NOT NULL,
    state          TEXT   NOT NULL CHECK (state IN ('pending', 'completed', 'declined', 'cancelled', 'expired')),
    level          TEXT   NOT NULL CHECK (level IN ('B-B', 'B-T')),
    seal           TEXT   NOT NULL,
    return_url     TEXT   NOT NULL,
    reason         TEXT   NOT NULL,
    code           TEXT   NOT NULL,
    turn           BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    decided_at     BIGINT NOT NULL,
    decline_reason TEXT   NOT NULL,
    CONSTRAINT signer_request_code UNIQUE (code)
);
CREATE INDEX signer_request_open ON signer_request (expires_at) WHERE state = 'pending';

CREATE TABLE signer_request_document (
    request     TEXT   NOT NULL REFERENCES signer_request (id),
    pos         BIGINT NOT NULL,
    document    TEXT   NOT NULL REFERENCES signer_document (id),
    title       TEXT   NOT NULL,
    base_sha256 BYTEA  NOT NULL,
    pages       BIGINT NOT NULL,
    sha256      BYTEA  NOT NULL,
    size        BIGINT NOT NULL,
    CONSTRAINT signer_request_document_pk PRIMARY KEY (request, pos)
);

-- The signers of a request, in their order. The one whose pos is the request's
-- turn may sign.
CREATE TABLE signer_party (
    request     TEXT   NOT NULL REFERENCES signer_request (id),
    pos         BIGINT NOT NULL,
    person      TEXT   NOT NULL,
    appointment TEXT   NOT NULL,
    epoch       BIGINT NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('waiting', 'signed', 'declined', 'cancelled')),
    activation  TEXT   NOT NULL,
    decided_at  BIGINT NOT NULL,
    CONSTRAINT signer_party_pk PRIMARY KEY (request, pos)
);
CREATE INDEX signer_party_person ON signer_party (person, state);

-- Activations asked of the core. One is spent while calls to the core are under
-- way, which are counted, and settled once its result is in the request or none can come.
CREATE TABLE signer_attempt (
    activation TEXT   PRIMARY KEY,
    request    TEXT   NOT NULL REFERENCES signer_request (id),
    pos        BIGINT NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('open', 'spent', 'settled')),
    calls      BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX signer_attempt_spent ON signer_attempt (created_at) WHERE state = 'spent';

-- Every signed file that was released.
CREATE TABLE signer_file (
    sha256     BYTEA  NOT NULL,
    request    TEXT   NOT NULL REFERENCES signer_request (id),
    pos        BIGINT NOT NULL,
    party      BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT signer_file_pk PRIMARY KEY (request, pos, party)
);
CREATE INDEX signer_file_hash ON signer_file (sha256);

-- Answers to repeatable requests.
CREATE TABLE signer_idempotency (
    client     TEXT   NOT NULL,
    route      TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    body       BYTEA  NOT NULL,
    status     BIGINT NOT NULL,
    answer     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT signer_idempotency_pk PRIMARY KEY (client, route, key)
);
CREATE INDEX signer_idempotency_age ON signer_idempotency (created_at);

-- Page images of a file, as people were shown them.
CREATE TABLE signer_page (
    file   BYTEA  NOT NULL,
    owner  TEXT   NOT NULL,
    page   BIGINT NOT NULL,
    image  BYTEA  NOT NULL,
    size   BIGINT NOT NULL,
    width  BIGINT NOT NULL,
    height BIGINT NOT NULL,
    CONSTRAINT signer_page_pk PRIMARY KEY (file, owner, page)
);
