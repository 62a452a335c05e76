-- +goose Up
-- A code sheet is printed closed by somebody who did not see the password, and
-- counts only when it was opened before such a one. Cards of before are open.
ALTER TABLE enrolment_card ADD COLUMN printed_by TEXT NOT NULL DEFAULT '';
ALTER TABLE enrolment_card ADD COLUMN word BYTEA;
ALTER TABLE enrolment_card ADD COLUMN wrong BIGINT NOT NULL DEFAULT 0;
ALTER TABLE enrolment_card ADD COLUMN opened_at BIGINT;
UPDATE enrolment_card SET opened_at = created_at;

-- What a registrar asked for at a counter, with the password that was typed there.
-- It is an order once the act of its ticket is approved.
CREATE TABLE enrolment_card_order (
    ticket     TEXT PRIMARY KEY,
    person     TEXT NOT NULL REFERENCES enrolment_person (id),
    hash       TEXT NOT NULL,
    ordered_by TEXT NOT NULL,
    asked_at   BIGINT NOT NULL,
    ordered_at BIGINT
);
CREATE UNIQUE INDEX enrolment_card_order_open ON enrolment_card_order (person) WHERE ordered_at IS NOT NULL;
