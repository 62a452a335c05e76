-- +goose Up
-- Sealed chunks do not compress: store them out of line without trying.
ALTER TABLE blob_chunk ALTER COLUMN sealed SET STORAGE EXTERNAL;
