-- +goose Up
-- The algorithm of signed answers of introspection (RFC 9701 §6), '' for that of
-- the client's tokens.
ALTER TABLE idp_client ADD COLUMN introspection_alg TEXT NOT NULL DEFAULT '' CHECK (introspection_alg IN ('', 'ES256', 'RS256', 'PS256', 'EdDSA'));
