-- +goose Up
-- The change feed of what nodes keep in memory (D23). seq is handed out under the
-- lock of the one row of idp_feed, held until the commit: the order of seq is the
-- order of commits. Triggers write it, so that no statement can forget to.
CREATE TABLE idp_feed (
    id   BIGINT NOT NULL,
    last BIGINT NOT NULL,
    CONSTRAINT idp_feed_pk PRIMARY KEY (id),
    CONSTRAINT idp_feed_one CHECK (id = 1)
);
INSERT INTO idp_feed (id, last) VALUES (1, 0);

CREATE TABLE idp_change (
    seq  BIGINT NOT NULL,
    kind TEXT   NOT NULL,
    name TEXT   NOT NULL,
    at   BIGINT NOT NULL,
    CONSTRAINT idp_change_pk PRIMARY KEY (seq)
);
CREATE INDEX idp_change_at ON idp_change (at);

-- +goose StatementBegin
CREATE TRIGGER idp_client_changed AFTER UPDATE ON idp_client FOR EACH ROW
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'client', NEW.id, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER idp_client_removed AFTER DELETE ON idp_client FOR EACH ROW
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'client', OLD.id, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER idp_secret_added AFTER INSERT ON idp_client_secret FOR EACH ROW
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'client', NEW.client, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER idp_secret_changed AFTER UPDATE ON idp_client_secret FOR EACH ROW
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'client', NEW.client, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER idp_secret_removed AFTER DELETE ON idp_client_secret FOR EACH ROW
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'client', OLD.client, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER idp_access_revoked AFTER UPDATE ON idp_access FOR EACH ROW WHEN OLD.revoked_at IS NOT NEW.revoked_at
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'access', lower(hex(NEW.hash)), CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER idp_grant_revoked AFTER UPDATE ON idp_grant FOR EACH ROW WHEN OLD.revoked_at IS NOT NEW.revoked_at
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'grant', NEW.id, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER idp_sid_ended AFTER UPDATE ON idp_rp_session FOR EACH ROW WHEN OLD.ended_at IS NOT NEW.ended_at
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'sid', NEW.sid, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER idp_session_ended AFTER UPDATE ON idp_session FOR EACH ROW WHEN OLD.ended_at IS NOT NEW.ended_at OR OLD.expires_at IS NOT NEW.expires_at
BEGIN
    UPDATE idp_feed SET last = last + 1 WHERE id = 1;
    INSERT INTO idp_change (seq, kind, name, at) SELECT last, 'session', NEW.id, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM idp_feed WHERE id = 1;
END;
-- +goose StatementEnd
