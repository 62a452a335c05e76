-- +goose Up
-- db_commit: the last batch that each writer session committed (PostgreSQL).
-- A session bumps batch inside the transaction it commits; whoever must learn
-- the outcome of a lost commit bumps probed, which also bars the lost session.
CREATE TABLE db_commit (
    writer TEXT   NOT NULL,
    batch  BIGINT NOT NULL,
    probed BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    CONSTRAINT db_commit_pk PRIMARY KEY (writer)
);

-- db_lease: who leads a single-leader task. fence rises with every change of
-- holder and is checked inside the holder's writes.
CREATE TABLE db_lease (
    name   TEXT   NOT NULL,
    holder TEXT   NOT NULL,
    fence  BIGINT NOT NULL,
    until  BIGINT NOT NULL,
    checks BIGINT NOT NULL,
    CONSTRAINT db_lease_pk PRIMARY KEY (name)
);
