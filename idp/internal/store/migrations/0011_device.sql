-- +goose Up
-- A browser as one person knows it: ending it ends every sign-on session that
-- was begun in it. Two people in one browser have two devices, so that neither
-- learns of the other. A session without one is a device of its own.
CREATE TABLE idp_device (
    id       TEXT PRIMARY KEY,
    person   TEXT NOT NULL,
    secret   BYTEA NOT NULL,
    first_at BIGINT NOT NULL,
    seen_at  BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE UNIQUE INDEX idp_device_live ON idp_device (secret, person) WHERE ended_at IS NULL;
ALTER TABLE idp_session ADD COLUMN device_id TEXT REFERENCES idp_device (id);
