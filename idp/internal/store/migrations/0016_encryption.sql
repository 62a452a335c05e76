-- +goose Up
-- How ID tokens and answers of userinfo are encrypted to a client (RFC 7516): the
-- algorithms of key and content with a space between, or '' for not.
ALTER TABLE idp_client ADD COLUMN id_token_encryption TEXT NOT NULL DEFAULT '';
ALTER TABLE idp_client ADD COLUMN userinfo_encryption TEXT NOT NULL DEFAULT '';
