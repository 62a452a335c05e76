-- +goose Up
-- What became of each notice to an application that a session ended, and of each
-- try to deliver it. The message itself is the outbox's and goes when delivered.
CREATE TABLE idp_notice (
    id        TEXT PRIMARY KEY,
    client    TEXT NOT NULL REFERENCES idp_client (id),
    sid       TEXT NOT NULL,
    address   TEXT NOT NULL,
    queued_at BIGINT NOT NULL,
    tries     BIGINT NOT NULL DEFAULT 0,
    state     TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'given-up')),
    done_at   BIGINT
);
CREATE INDEX idp_notice_client ON idp_notice (client, queued_at);
CREATE TABLE idp_notice_try (
    notice  TEXT NOT NULL REFERENCES idp_notice (id),
    n       BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    status  BIGINT NOT NULL,
    PRIMARY KEY (notice, n)
);
