-- +goose Up
-- Where a client publishes its keys, when they were read last, and when reading
-- them was tried last; the keys themselves are in jwks.
ALTER TABLE idp_client ADD COLUMN jwks_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE idp_client ADD COLUMN jwks_read_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE idp_client ADD COLUMN jwks_tried_at BIGINT NOT NULL DEFAULT 0;
-- Where an old client is told of a logout in the person's browser.
ALTER TABLE idp_client ADD COLUMN frontchannel_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE idp_client ADD COLUMN frontchannel_session BIGINT NOT NULL DEFAULT 0 CHECK (frontchannel_session IN (0, 1));
