-- +goose Up
-- Nothing to do: SQLite never compresses.
SELECT 1;
