-- +goose Up
-- due_at is when the message may next be claimed: its not-before time, the end
-- of the running lease, or the end of the back-off. dead_at is 0 while alive.
CREATE TABLE outbox_message (
    id         TEXT   NOT NULL,
    topic      TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    payload    BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    claim      TEXT   NOT NULL,
    last_error TEXT   NOT NULL,
    dead_at    BIGINT NOT NULL,
    CONSTRAINT outbox_message_pk PRIMARY KEY (id),
    CONSTRAINT outbox_message_topic CHECK (length(topic) BETWEEN 1 AND 100),
    CONSTRAINT outbox_message_key CHECK (length(key) <= 200)
);
CREATE INDEX outbox_message_due ON outbox_message (due_at) WHERE dead_at = 0;
CREATE UNIQUE INDEX outbox_message_order ON outbox_message (topic, key, seq) WHERE key <> '';

-- The last place handed out in each ordered series.
CREATE TABLE outbox_key (
    topic   TEXT   NOT NULL,
    key     TEXT   NOT NULL,
    last    BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    CONSTRAINT outbox_key_pk PRIMARY KEY (topic, key)
);

-- What a consumer has already done, for consumers that are not idempotent by nature.
CREATE TABLE outbox_seen (
    consumer TEXT   NOT NULL,
    id       TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    CONSTRAINT outbox_seen_pk PRIMARY KEY (consumer, id)
);
CREATE INDEX outbox_seen_at ON outbox_seen (at);
