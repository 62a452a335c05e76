package subject_test

import (
	"io/fs"
	"testing/fstest"
)

func grantFS() fs.FS {
	return fstest.MapFS{"0001_grants.sql": &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE TABLE grants_one (id TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL);
CREATE TABLE grants_total (epoch BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL);
`)}}
}
