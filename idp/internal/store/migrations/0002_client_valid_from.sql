-- +goose Up
-- What was granted through a client before this time is dead, so that nothing
-- comes back to life when a disabled client is enabled again.
ALTER TABLE idp_client ADD COLUMN valid_from BIGINT NOT NULL DEFAULT 0;
