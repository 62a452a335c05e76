-- +goose Up
-- For which services a client may exchange a person's token (RFC 8693), and who
-- acts with an exchanged token, the newest first.
ALTER TABLE idp_client ADD COLUMN exchanges TEXT NOT NULL DEFAULT '[]';
ALTER TABLE idp_access ADD COLUMN act TEXT NOT NULL DEFAULT '';
