package pades_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	pdfsign "github.com/digitorus/pdfsign/verify"
	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// peer is one way to do the work that is compared.
type peer struct {
	name string
	do   func() error
}

// comparePeers measures each alone, then all by turns, so that a busy machine
// slows them alike, and reports how many times as long as ours (the first) the
// others take, as the median of all turns: x_NAME. A turn is long enough that
// each pays for collecting its own garbage.
func comparePeers(b *testing.B, size int, peers ...peer) {
	for _, p := range peers {
		b.Run(p.name, func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("ratio", func(b *testing.B) {
		turn := max(8, (2<<20)/size)
		ratios := make([][]float64, len(peers))
		for b.Loop() {
			var ours time.Duration
			for i, p := range peers {
				runtime.GC()
				start := time.Now()
				for range turn {
					if err := p.do(); err != nil {
						b.Fatal(err)
					}
				}
				took := time.Since(start)
				if i == 0 {
					ours = took
				}
				ratios[i] = append(ratios[i], float64(took)/float64(ours))
			}
		}
		for i, p := range peers[1:] {
			slices.Sort(ratios[i+1])
			b.ReportMetric(ratios[i+1][len(ratios[i+1])/2], "x_"+p.name)
		}
		b.ReportMetric(0, "ns/op") // all together: says nothing
	})
}

// peerFiles are documents of 20 kB and 5 MB that do not compress, like scans.
func peerFiles() map[string][]byte {
	out := map[string][]byte{}
	for name, n := range map[string]int{"20kB": 20 << 10, "5MB": 5 << 20} {
		data := make([]byte, n)
		_, _ = rand.NewChaCha8([32]byte{}).Read(data)
		out[name] = costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 40, Body: "<<>>", Data: data}}})
	}
	return out
}

// BenchmarkSignPeer signs with the same P-256 key and path, without a
// time-stamp, from a file in memory to a writer that keeps nothing. Ours checks
// the document and its own signature in that time, and writes level B-B; the
// other writes the older kind.
func BenchmarkSignPeer(b *testing.B) {
	who := authority(b).signer(b, "Ana", nil)
	ctx := context.Background()
	for name, base := range peerFiles() {
		b.Run(name, func(b *testing.B) {
			comparePeers(b, len(base), peer{"ours", func() error {
				in := bytes.NewReader(base)
				s, err := pades.Sign(ctx, in, int64(len(base)), who.key, who.chain, nil, pades.Options{SigningTime: now})
				if err == nil {
					_, err = s.WriteTo(ctx, io.Discard, in)
				}
				return err
			}}, peer{"pdfsign", func() error { return writeWithPDFSign(io.Discard, base, who) }})
		})
	}
}

// BenchmarkVerifyPeer verifies a file that we signed. All check digest,
// signature and path; ours compares revisions too, and pdfcpu validates the
// whole document but, offline, leaves open what revocation lists would say.
func BenchmarkVerifyPeer(b *testing.B) {
	ca := newOracle(b)
	who := ca.signer(b, "Ana", nil, func(c *x509.Certificate) { lasting(c) })
	ctx := context.Background()
	o := pades.VerifyOptions{Roots: ca.roots(), At: now}
	po := pdfsign.DefaultVerifyOptions()
	po.AllowUntrustedRoots, po.TrustSignatureTime = true, true
	for name, base := range peerFiles() {
		file := sign(b, base, who, pades.Options{})
		b.Run(name, func(b *testing.B) {
			comparePeers(b, len(file), peer{"ours", func() error {
				r, err := pades.Verify(ctx, bytes.NewReader(file), int64(len(file)), o)
				if err == nil && r.Signatures[0].Verdict != pades.Valid {
					err = fmt.Errorf("ours: %s", r.Signatures[0].Verdict)
				}
				return err
			}}, peer{"pdfsign", func() error {
				r, err := pdfsign.VerifyWithOptions(bytes.NewReader(file), int64(len(file)), po)
				if err == nil && !r.Signers[0].ValidSignature {
					err = fmt.Errorf("pdfsign: %s", r.Error)
				}
				return err
			}}, peer{"pdfcpu", func() error {
				c := pdfcpuConfig(model.ValidationRelaxed)
				c.Offline = true
				r, err := api.ValidateSignaturesRaw(bytes.NewReader(file), true, c)
				if err == nil && r[0].Details.Signers[0].CertificatePathStatus != model.True {
					err = fmt.Errorf("pdfcpu: %v", r[0].Reason)
				}
				return err
			}})
		})
	}
}
