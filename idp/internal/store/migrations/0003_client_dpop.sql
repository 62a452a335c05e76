-- +goose Up
-- Clients whose access tokens are always bound to a key (RFC 9449 §5.2,
-- dpop_bound_access_tokens). gov-fapi2 asks it of all of its clients.
ALTER TABLE idp_client ADD COLUMN dpop BIGINT NOT NULL DEFAULT 0 CHECK (dpop IN (0, 1));
UPDATE idp_client SET dpop = 1 WHERE profile = 'gov-fapi2';
