-- +goose Up
-- That an act waits no more for its approval, because somebody else rejected it
-- or its author withdrew it. note, if any, is sealed under the person's own key.
CREATE TABLE enrolment_verdict (
    act     TEXT PRIMARY KEY REFERENCES enrolment_act (id),
    verdict TEXT NOT NULL CHECK (verdict IN ('rechazado', 'retirado')),
    person  TEXT NOT NULL,
    author  TEXT NOT NULL,
    by_who  TEXT NOT NULL,
    reason  TEXT NOT NULL CHECK (length(reason) <= 40),
    note    BYTEA NOT NULL,
    at      BIGINT NOT NULL
);
CREATE INDEX enrolment_verdict_author ON enrolment_verdict (author, at);
CREATE INDEX enrolment_verdict_person ON enrolment_verdict (person, at);
