// Package cache is the seam to short-lived state that several nodes may share:
// ceremony challenges, DPoP nonces, rate counters, copies of session rows.
//
// The invariant that everything here rests on: NOTHING WHOSE LOSS COULD CAUSE A
// WRONG ACCEPT LIVES ONLY HERE. A cache may forget any entry at any moment, by
// eviction, by a flush, by a failover that lost the last writes. A caller must
// therefore be built so that a miss costs a repeated step, never a replay:
//
//   - single use is decided by one conditional SQL statement; a SetNX or GetDel
//     here may only refuse earlier, it may never be the only refusal;
//   - a cached answer about a session, a grant or a person is used only under
//     the freshness rule of the change feed (design D23);
//   - a rate limit falls back to the node's own counters, it never opens.
//
// [Cache] has two implementations: memory (in-process, the default) and redis
// (one server, Sentinel or Cluster). Both pass the conformance suite of
// cachetest, which also offers Forgetful, a wrapper that forgets at random, so
// that callers can prove the invariant.
//
// The package imports only the standard library; its sub-package redis is the
// only importer of the Redis client. Anyone may import it.
package cache
