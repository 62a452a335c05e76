-- +goose Up
-- The types of authorization details that a client may ask for (RFC 9396).
ALTER TABLE idp_client ADD COLUMN detail_types TEXT NOT NULL DEFAULT '[]';
