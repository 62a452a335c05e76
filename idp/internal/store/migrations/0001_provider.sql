-- +goose Up
CREATE TABLE idp_client (
    id               TEXT PRIMARY KEY CHECK (length(id) BETWEEN 3 AND 64),
    institution      TEXT NOT NULL,
    sector           TEXT NOT NULL,
    profile          TEXT NOT NULL CHECK (profile IN ('gov-fapi2', 'gov-web', 'gov-native', 'gov-spa', 'legacy')),
    name             TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    auth_method      TEXT NOT NULL CHECK (auth_method IN ('private_key_jwt', 'client_secret_basic', 'client_secret_post', 'none')),
    jwks             TEXT NOT NULL,
    redirect_uris    TEXT NOT NULL,
    post_logout_uris TEXT NOT NULL,
    scopes           TEXT NOT NULL,
    grants           TEXT NOT NULL,
    id_token_alg     TEXT NOT NULL CHECK (id_token_alg IN ('ES256', 'RS256')),
    backchannel_uri  TEXT NOT NULL,
    waivers          TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    disabled_at      BIGINT,
    version          BIGINT NOT NULL
);

CREATE TABLE idp_client_secret (
    client     TEXT NOT NULL REFERENCES idp_client (id),
    hash       BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (client, hash)
);

-- Pairwise subjects: random per sector and person, never a public one.
CREATE TABLE idp_subject (
    sector     TEXT NOT NULL,
    person     TEXT NOT NULL,
    sub        TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (sector, person)
);

CREATE TABLE idp_session (
    id         TEXT PRIMARY KEY,
    secret     BYTEA NOT NULL UNIQUE,
    person     TEXT NOT NULL,
    epoch      BIGINT NOT NULL,
    device     TEXT NOT NULL,
    shared     BIGINT NOT NULL CHECK (shared IN (0, 1)),
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    idle_us    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at   BIGINT,
    ended_why  TEXT
);
CREATE INDEX idp_session_person ON idp_session (person, created_at);

CREATE TABLE idp_event (
    id           TEXT PRIMARY KEY,
    session      TEXT NOT NULL REFERENCES idp_session (id),
    method       TEXT NOT NULL CHECK (method IN ('llave', 'clave-tarjeta')),
    credential   TEXT NOT NULL,
    uv           BIGINT NOT NULL CHECK (uv IN (0, 1)),
    device_bound BIGINT NOT NULL CHECK (device_bound IN (0, 1)),
    attested     BIGINT NOT NULL CHECK (attested IN (0, 1)),
    at           BIGINT NOT NULL
);
CREATE INDEX idp_event_session ON idp_event (session, at);

CREATE TABLE idp_interaction (
    id         TEXT PRIMARY KEY,
    client     TEXT NOT NULL REFERENCES idp_client (id),
    request    TEXT NOT NULL,
    browser    BYTEA NOT NULL,
    par        BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    decided_at BIGINT
);

CREATE TABLE idp_par (
    uri         BYTEA PRIMARY KEY,
    client      TEXT NOT NULL REFERENCES idp_client (id),
    request     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    consumed_at BIGINT
);

-- One session of one client beneath a single login; its sid is random, so that
-- institutions cannot join sessions.
CREATE TABLE idp_rp_session (
    sid        TEXT PRIMARY KEY,
    session    TEXT NOT NULL REFERENCES idp_session (id),
    client     TEXT NOT NULL REFERENCES idp_client (id),
    created_at BIGINT NOT NULL,
    ended_at   BIGINT,
    ended_why  TEXT
);
CREATE UNIQUE INDEX idp_rp_session_live ON idp_rp_session (session, client) WHERE ended_at IS NULL;

CREATE TABLE idp_grant (
    id           TEXT PRIMARY KEY,
    sid          TEXT NOT NULL REFERENCES idp_rp_session (sid),
    session      TEXT NOT NULL REFERENCES idp_session (id),
    client       TEXT NOT NULL REFERENCES idp_client (id),
    person       TEXT NOT NULL,
    epoch        BIGINT NOT NULL,
    sub          TEXT NOT NULL,
    scope        TEXT NOT NULL,
    request      TEXT NOT NULL,
    acr          TEXT NOT NULL,
    amr          TEXT NOT NULL,
    auth_at      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    revoked_why  TEXT
);
CREATE INDEX idp_grant_sid ON idp_grant (sid);
CREATE INDEX idp_grant_person ON idp_grant (person, created_at);

CREATE TABLE idp_code (
    hash         BYTEA PRIMARY KEY,
    grant_id     TEXT NOT NULL REFERENCES idp_grant (id),
    client       TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    challenge    TEXT NOT NULL,
    jkt          TEXT NOT NULL,
    expires_at   BIGINT NOT NULL,
    consumed_at  BIGINT
);

CREATE TABLE idp_refresh (
    hash          BYTEA PRIMARY KEY,
    grant_id      TEXT NOT NULL REFERENCES idp_grant (id),
    client        TEXT NOT NULL,
    generation    BIGINT NOT NULL,
    jkt           TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    idle_until    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    first_used_at BIGINT,
    successor     BYTEA
);
CREATE INDEX idp_refresh_grant ON idp_refresh (grant_id);

-- Opaque access tokens. A token of client credentials has no grant.
CREATE TABLE idp_access (
    hash       BYTEA PRIMARY KEY,
    grant_id   TEXT REFERENCES idp_grant (id),
    client     TEXT NOT NULL REFERENCES idp_client (id),
    scope      TEXT NOT NULL,
    audience   TEXT NOT NULL,
    jkt        TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX idp_access_expires ON idp_access (expires_at);

-- Client assertions seen, one use per client and jti for as long as they could be valid.
CREATE TABLE idp_jti (
    client     TEXT NOT NULL,
    jti        BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (client, jti)
);
CREATE INDEX idp_jti_expires ON idp_jti (expires_at);

CREATE TABLE idp_consent (
    id         TEXT PRIMARY KEY,
    person     TEXT NOT NULL,
    client     TEXT NOT NULL REFERENCES idp_client (id),
    scope      TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX idp_consent_live ON idp_consent (person, client, scope) WHERE revoked_at IS NULL;
