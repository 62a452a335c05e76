package safehttp

import (
	"net/netip"
	"slices"
)

// denied4 are the IPv4 blocks that are not ordinary public addresses (IANA
// IPv4 Special-Purpose Address Registry, multicast and the reserved class E).
var denied4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
	"192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// global6 is the only IPv6 block from which public unicast addresses are given
// out. Loopback, mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96, 64:ff9b:1::/48),
// unique local, link-local, site-local and multicast addresses lie outside it.
var global6 = netip.MustParsePrefix("2000::/3")

// denied6 are the special blocks within global6: protocol assignments with
// Teredo and ORCHID, documentation, 6to4, AS112.
var denied6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Public reports whether a is an ordinary public unicast address. An IPv4
// address mapped into IPv6 is judged as the IPv4 address that it reaches.
func Public(a netip.Addr) bool {
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	if a.Is4() {
		return !slices.ContainsFunc(denied4, in)
	}
	return global6.Contains(a) && !slices.ContainsFunc(denied6, in)
}
