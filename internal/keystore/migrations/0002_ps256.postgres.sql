-- +goose Up
-- RSA keys that sign with PSS, and with nothing else.
ALTER TABLE key_private DROP CONSTRAINT key_private_alg_check;
ALTER TABLE key_private ADD CONSTRAINT key_private_alg_check CHECK (alg IN ('ES256', 'ES384', 'EdDSA', 'RS256', 'RSA3072', 'PS256'));
