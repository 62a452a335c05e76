// Package cachetest is the conformance suite of cache.Cache and cache.Taker and
// a wrapper that forgets at random. Only tests import it.
package cachetest
