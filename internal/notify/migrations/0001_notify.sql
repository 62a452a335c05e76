-- +goose Up
-- What left, so that it does not leave again.
CREATE TABLE notify_sent (
    id      TEXT PRIMARY KEY CHECK (length(id) <= 100),
    sent_at BIGINT NOT NULL
);
CREATE INDEX notify_sent_at ON notify_sent (sent_at);

-- What a demonstration would have sent, sealed.
CREATE TABLE notify_message (
    id      TEXT PRIMARY KEY CHECK (length(id) <= 100),
    channel TEXT NOT NULL CHECK (channel IN ('email', 'sms')),
    sent_at BIGINT NOT NULL,
    sealed  BYTEA NOT NULL
);
CREATE INDEX notify_message_channel ON notify_message (channel, sent_at);

-- How far a consumer has read the log of what happened.
CREATE TABLE notify_cursor (
    name       TEXT PRIMARY KEY CHECK (length(name) <= 60),
    log_number BIGINT NOT NULL,
    leaf_index BIGINT NOT NULL
);
