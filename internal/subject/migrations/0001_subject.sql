-- +goose Up
CREATE TABLE subject (
    person     TEXT   NOT NULL,
    epoch      BIGINT NOT NULL,
    state      TEXT   NOT NULL,
    changed_at BIGINT NOT NULL,
    CONSTRAINT subject_pk PRIMARY KEY (person),
    CONSTRAINT subject_epoch CHECK (epoch >= 1),
    CONSTRAINT subject_state CHECK (state IN ('active', 'suspended', 'recovering', 'closed', 'deceased'))
);

-- The change feed. seq is handed out under the lock of the one row of
-- subject_feed, held until the commit: the order of seq is the order of commits.
CREATE TABLE subject_change (
    seq    BIGINT NOT NULL,
    person TEXT   NOT NULL,
    epoch  BIGINT NOT NULL,
    state  TEXT   NOT NULL,
    cause  TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    CONSTRAINT subject_change_pk PRIMARY KEY (seq),
    CONSTRAINT subject_change_person FOREIGN KEY (person) REFERENCES subject (person),
    CONSTRAINT subject_change_epoch UNIQUE (person, epoch),
    CONSTRAINT subject_change_cause CHECK (length(cause) BETWEEN 1 AND 100)
);

CREATE TABLE subject_feed (
    id   BIGINT NOT NULL,
    last BIGINT NOT NULL,
    CONSTRAINT subject_feed_pk PRIMARY KEY (id),
    CONSTRAINT subject_feed_one CHECK (id = 1)
);
INSERT INTO subject_feed (id, last) VALUES (1, 0);
