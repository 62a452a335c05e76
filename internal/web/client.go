package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxHops bounds how many entries of X-Forwarded-For are read, from the right.
const maxHops = 16

// clientAddr finds the address of the client. X-Forwarded-For counts only as
// far as it was written by trusted proxies: beginning with the peer of the
// connection, each trusted hop is replaced by the entry it added; the first
// address that is not a trusted proxy is the client.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	isProxy := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for n := 0; n < maxHops && len(hops) > 0 && isProxy(addr); n++ {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1]))
		if err != nil {
			break // what a trusted proxy did not write is not guessed at
		}
		addr = next.Unmap().WithZone("")
		hops = hops[:len(hops)-1]
	}
	return addr
}

// ClientAddr returns the address of the client as the [Site] found it: the peer,
// or what listed proxies say. It is the zero Addr for a Unix socket without a
// proxy header and outside a Site. It serves limits and records, not decisions.
func ClientAddr(r *http.Request) netip.Addr {
	if ex := exchangeOf(r.Context()); ex != nil {
		return ex.client
	}
	return netip.Addr{}
}

// ClientKey returns the client's address for counting: an IPv4 address as it
// is, an IPv6 address as its /64, since one household has all of it.
func ClientKey(r *http.Request) string { return addrKey(ClientAddr(r)) }

func addrKey(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is4():
		return a.String()
	}
	p, _ := a.Prefix(64) // 64 is within bounds for IPv6
	return p.String()
}
