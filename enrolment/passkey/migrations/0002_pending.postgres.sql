-- +goose Up
-- A passkey made at a counter by somebody who is known already is "pending": it
-- enters nowhere until two members of staff have approved its act.
ALTER TABLE enrolment_credential DROP CONSTRAINT enrolment_credential_state_check;
ALTER TABLE enrolment_credential ADD CONSTRAINT enrolment_credential_state_check CHECK (state IN ('pending', 'active', 'suspect', 'suspended', 'revoked'));
