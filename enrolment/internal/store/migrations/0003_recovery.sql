-- +goose Up
-- A ticket of somebody who is known already and lost her passkeys: a registrar
-- opens it, one browser claims it by its code, and makes the one passkey that the
-- act names.
ALTER TABLE enrolment_ticket ADD COLUMN recovery BIGINT NOT NULL DEFAULT 0 CHECK (recovery IN (0, 1));
ALTER TABLE enrolment_ticket ADD COLUMN credential TEXT NOT NULL DEFAULT '';
