-- +goose Up
-- Whether a client must sign its authorization requests (RFC 9101 §10.5), and the
-- algorithm of signed authorization responses (JARM §3), '' for that of its tokens.
ALTER TABLE idp_client ADD COLUMN signed_requests BIGINT NOT NULL DEFAULT 0 CHECK (signed_requests IN (0, 1));
ALTER TABLE idp_client ADD COLUMN response_alg TEXT NOT NULL DEFAULT '' CHECK (response_alg IN ('', 'ES256', 'RS256', 'PS256', 'EdDSA'));
