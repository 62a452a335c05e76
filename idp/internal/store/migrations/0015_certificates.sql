-- +goose Up
-- Clients that prove themselves by certificate (RFC 8705). auth_method says
-- private_key_jwt of them to older servers, which then refuse them. A token that is
-- bound to a certificate has x5t#S256:THUMBPRINT as its key, which an older server
-- takes for that of a DPoP key that nobody can prove.
ALTER TABLE idp_client ADD COLUMN tls_method TEXT NOT NULL DEFAULT '' CHECK (tls_method IN ('', 'tls_client_auth', 'self_signed_tls_client_auth'));
ALTER TABLE idp_client ADD COLUMN tls_subject TEXT NOT NULL DEFAULT '' CHECK ((tls_subject <> '') = (tls_method = 'tls_client_auth'));
ALTER TABLE idp_client ADD COLUMN tls_bound BIGINT NOT NULL DEFAULT 0 CHECK (tls_bound IN (0, 1));
