package safehttp

import (
	"net/netip"
	"testing"
)

// The edges of every special block, and what lies just outside.
func TestPublic(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		"1.0.0.0": true, "9.255.255.255": true, "11.0.0.0": true, "8.8.8.8": true, "223.255.255.255": true,
		"0.0.0.0": false, "0.255.255.255": false, "10.0.0.0": false, "10.255.255.255": false,
		"100.63.255.255": true, "100.64.0.0": false, "100.127.255.255": false, "100.128.0.0": true,
		"126.255.255.255": true, "127.0.0.1": false, "127.255.255.255": false, "128.0.0.0": true,
		"169.253.255.255": true, "169.254.169.254": false, "169.255.0.0": true,
		"172.15.255.255": true, "172.16.0.0": false, "172.31.255.255": false, "172.32.0.0": true,
		"192.0.0.8": false, "192.0.1.0": true, "192.0.2.1": false, "192.88.99.1": false, "192.167.255.255": true,
		"192.168.0.1": false, "192.169.0.0": true, "198.17.255.255": true, "198.18.0.0": false, "198.19.255.255": false,
		"198.20.0.0": true, "198.51.100.9": false, "203.0.113.9": false, "203.0.114.0": true,
		"224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,

		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:8.8.8.8": true,
		"::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b::808:808": false, "64:ff9b:1::1": false,
		"100::1": false, "fc00::1": false, "fdff::1": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false,
		"ff02::1": false, "ff0e::1": false, "5f00::1": false, "4000::1": false, "1fff:ffff::1": false,
		"2000::1": true, "2001::1": false, "2001:1ff::1": false, "2001:200::1": true, "2001:db8::1": false,
		"2001:db9::1": true, "2002:7f00:1::1": false, "2003::1": true, "2620:4f:8000::1": false, "2800:cd0::1": true,
		"3ffe::1": true, "3fff::1": false, "3fff:fff::1": false, "3fff:1000::1": true,
		"2600::1%eth0": false,
	} {
		if got := Public(netip.MustParseAddr(s)); got != want {
			t.Errorf("Public(%s): got %v, want %v", s, got, want)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

// No address that the standard library calls special passes.
func FuzzPublic(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "::ffff:10.0.0.1", "2001:db8::", "8.8.8.8"} {
		a := netip.MustParseAddr(s)
		f.Add(a.AsSlice())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok || !Public(a) {
			return
		}
		a = a.Unmap()
		if a.IsLoopback() || a.IsPrivate() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.IsUnspecified() || !a.IsGlobalUnicast() {
			t.Errorf("%s is special", a)
		}
	})
}
