-- +goose Up
-- Whom a person trusts to say that she is herself. The name by which she calls them
-- is sealed under her own key; contact is empty where nobody registered has the
-- document that she gave, which she is not told.
CREATE TABLE enrolment_trusted (
    id          TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,
    contact     TEXT NOT NULL,
    alias       BYTEA NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('propuesta', 'aceptada', 'terminada')),
    created_at  BIGINT NOT NULL,
    accepted_at BIGINT,
    ended_at    BIGINT
);
CREATE UNIQUE INDEX enrolment_trusted_pair ON enrolment_trusted (owner, contact) WHERE state <> 'terminada' AND contact <> '';
CREATE INDEX enrolment_trusted_contact ON enrolment_trusted (contact, state);

-- A recovery without a document: so many of them have said that it is her.
ALTER TABLE enrolment_ticket ADD COLUMN vouched BIGINT NOT NULL DEFAULT 0 CHECK (vouched IN (0, 1));
CREATE TABLE enrolment_vouch (
    ticket  TEXT NOT NULL REFERENCES enrolment_ticket (id),
    contact TEXT NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (ticket, contact)
);
