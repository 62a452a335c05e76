-- +goose Up
-- tsa_clock: the greatest time that any node has put into a token. One row.
CREATE TABLE tsa_clock (
    id       BIGINT NOT NULL,
    last     BIGINT NOT NULL, -- microseconds, whole milliseconds
    CONSTRAINT tsa_clock_pk PRIMARY KEY (id),
    CONSTRAINT tsa_clock_one CHECK (id = 1)
);
INSERT INTO tsa_clock (id, last) VALUES (1, 0);

-- tsa_token: numbers of tokens, written before the token is signed.
CREATE TABLE tsa_token (
    sn         BYTEA  NOT NULL,
    unit       BYTEA  NOT NULL, -- number of the unit's certificate
    gen_time   BIGINT NOT NULL,
    hash       BIGINT NOT NULL, -- of the imprint: 256, 384 or 512
    imprint    BYTEA  NOT NULL,
    policy     TEXT   NOT NULL,
    audit      TEXT   NOT NULL,
    CONSTRAINT tsa_token_pk PRIMARY KEY (sn),
    CONSTRAINT tsa_token_sn CHECK (length(sn) = 17),
    CONSTRAINT tsa_token_imprint CHECK (hash IN (256, 384, 512) AND length(imprint) * 8 = hash)
);
