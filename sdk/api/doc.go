// Package api holds the wire types that Suti's HTTP handlers and the SDK share.
package api
