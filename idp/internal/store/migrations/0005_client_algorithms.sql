-- +goose Up
-- The algorithm of a client's signed tokens, where id_token_alg, which older
-- servers read, cannot say it; and that of signed answers of userinfo.
ALTER TABLE idp_client ADD COLUMN signing_alg TEXT NOT NULL DEFAULT '' CHECK (signing_alg IN ('', 'ES256', 'RS256', 'PS256', 'EdDSA'));
ALTER TABLE idp_client ADD COLUMN userinfo_alg TEXT NOT NULL DEFAULT '' CHECK (userinfo_alg IN ('', 'ES256', 'RS256', 'PS256', 'EdDSA'));
