-- +goose Up
-- The deployment's founding, once and for ever, and the number of its last act.
CREATE TABLE enrolment_chain (
    one        BIGINT PRIMARY KEY CHECK (one = 1),
    genesis    BYTEA NOT NULL,
    head       BIGINT NOT NULL,
    founded_at BIGINT NOT NULL
);

-- Signed acts that were admitted, in the order of their admission.
CREATE TABLE enrolment_act (
    seq       BIGINT PRIMARY KEY,
    id        TEXT NOT NULL,
    hash      BYTEA NOT NULL,
    kind      TEXT NOT NULL,
    person    TEXT NOT NULL,
    author    TEXT NOT NULL,
    raw       BYTEA NOT NULL,
    stored_at BIGINT NOT NULL,
    CONSTRAINT enrolment_act_id UNIQUE (id),
    CONSTRAINT enrolment_act_hash UNIQUE (hash)
);
CREATE INDEX enrolment_act_person ON enrolment_act (person, seq);

-- A statement that waits for its signatures; its id becomes the act's id.
CREATE TABLE enrolment_draft (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    person     TEXT NOT NULL,
    author     TEXT NOT NULL,
    statement  BYTEA NOT NULL,
    ticket     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    done_at    BIGINT
);
CREATE INDEX enrolment_draft_expires ON enrolment_draft (expires_at);

-- A signature that a draft needs: of one key of a person, or (empty) of any.
CREATE TABLE enrolment_need (
    draft       TEXT NOT NULL REFERENCES enrolment_draft (id) ON DELETE CASCADE,
    person      TEXT NOT NULL,
    key_id      BYTEA NOT NULL,
    signed_key  BYTEA,
    auth_data   BYTEA,
    client_data BYTEA,
    signature   BYTEA,
    PRIMARY KEY (draft, person, key_id)
);
CREATE INDEX enrolment_need_person ON enrolment_need (person);

-- Salts and values behind the commitments of an enrolment, sealed under the
-- person's own key.
CREATE TABLE enrolment_fact (
    act    TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    sealed BYTEA NOT NULL
);

-- A pre-registration on its way to a counter.
CREATE TABLE enrolment_ticket (
    id           TEXT PRIMARY KEY,
    person       TEXT NOT NULL,
    code         BYTEA NOT NULL,
    code_sealed  BYTEA NOT NULL,
    browser      BYTEA NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('abierto', 'en_mostrador', 'en_revision', 'hecho', 'anulado')),
    registrar    TEXT NOT NULL,
    locked_until BIGINT NOT NULL,
    draft        TEXT NOT NULL,
    card         BIGINT NOT NULL CHECK (card IN (0, 1)),
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    CONSTRAINT enrolment_ticket_code UNIQUE (code)
);
CREATE INDEX enrolment_ticket_person ON enrolment_ticket (person);
CREATE INDEX enrolment_ticket_browser ON enrolment_ticket (browser);
CREATE INDEX enrolment_ticket_registrar ON enrolment_ticket (registrar, state);

CREATE TABLE enrolment_institution (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL CHECK (length(name) <= 200),
    short_name TEXT NOT NULL CHECK (length(short_name) <= 30),
    tax_id     TEXT NOT NULL CHECK (length(tax_id) <= 12),
    created_at BIGINT NOT NULL,
    CONSTRAINT enrolment_institution_name UNIQUE (name)
);

CREATE TABLE enrolment_unit (
    id          TEXT PRIMARY KEY,
    institution TEXT NOT NULL REFERENCES enrolment_institution (id),
    name        TEXT NOT NULL CHECK (length(name) <= 200),
    created_at  BIGINT NOT NULL,
    CONSTRAINT enrolment_unit_name UNIQUE (institution, name)
);

-- A post (cargo): its denomination and item number.
CREATE TABLE enrolment_post (
    id          TEXT PRIMARY KEY,
    institution TEXT NOT NULL REFERENCES enrolment_institution (id),
    unit        TEXT REFERENCES enrolment_unit (id),
    title       TEXT NOT NULL CHECK (length(title) <= 200),
    item        TEXT NOT NULL CHECK (length(item) <= 20),
    exclusive   BIGINT NOT NULL CHECK (exclusive IN (0, 1)),
    scopes      TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX enrolment_post_institution ON enrolment_post (institution, title);
CREATE UNIQUE INDEX enrolment_post_item ON enrolment_post (institution, item) WHERE item <> '';

-- What the acts of appointment add up to, for questions that need no proof.
CREATE TABLE enrolment_appointment (
    id          TEXT PRIMARY KEY,
    act         TEXT NOT NULL,
    person      TEXT NOT NULL,
    institution TEXT NOT NULL REFERENCES enrolment_institution (id),
    post        TEXT NOT NULL REFERENCES enrolment_post (id),
    holding     TEXT NOT NULL CHECK (holding IN ('titular', 'interino', 'suplente')),
    legal_act   TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('propuesto', 'vigente', 'cesado')),
    from_at     BIGINT NOT NULL,
    to_at       BIGINT,
    ended_by    TEXT NOT NULL,
    end_reason  TEXT NOT NULL
);
CREATE INDEX enrolment_appointment_person ON enrolment_appointment (person, from_at);
CREATE INDEX enrolment_appointment_post ON enrolment_appointment (post, from_at);
