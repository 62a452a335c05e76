-- +goose Up
-- By what a record is compared with others: keyed hashes of the bare number, and
-- of how the name sounds with the birth date. A look-alike is found by the index.
CREATE TABLE enrolment_match (
    person TEXT NOT NULL REFERENCES enrolment_person (id),
    kind   TEXT NOT NULL CHECK (kind IN ('number', 'name')),
    key    BYTEA NOT NULL,
    PRIMARY KEY (person, kind)
);
CREATE INDEX enrolment_match_key ON enrolment_match (kind, key);
