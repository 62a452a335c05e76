-- +goose Up
-- Entries of devices without a browser of their own (RFC 8628). One decision,
-- one grant, one redemption.
CREATE TABLE idp_device_code (
    hash        BYTEA PRIMARY KEY,
    user_code   BYTEA NOT NULL UNIQUE,
    client      TEXT NOT NULL REFERENCES idp_client (id),
    request     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    outcome     TEXT CHECK (outcome IN ('granted', 'denied')),
    decided_at  BIGINT,
    grant_id    TEXT REFERENCES idp_grant (id),
    consumed_at BIGINT
);
CREATE INDEX idp_device_code_expires ON idp_device_code (expires_at);
