-- +goose Up
-- How a client's access tokens look, for which resources it may ask for them
-- (RFC 8707), and which resources it is itself, whose tokens it may introspect.
ALTER TABLE idp_client ADD COLUMN token_format TEXT NOT NULL DEFAULT 'opaque' CHECK (token_format IN ('opaque', 'jwt'));
ALTER TABLE idp_client ADD COLUMN resources TEXT NOT NULL DEFAULT '[]';
ALTER TABLE idp_client ADD COLUMN serves TEXT NOT NULL DEFAULT '[]';
