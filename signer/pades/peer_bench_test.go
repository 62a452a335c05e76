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
	"syscall"
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
// others take: x_NAME by the clock, xcpu_NAME in processor time, which counts
// what the collector does on other cores. Both are medians of all turns; a turn
// is long enough that each pays for collecting its own garbage.
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
		wall, cpu := make([][]float64, len(peers)), make([][]float64, len(peers))
		for b.Loop() {
			var w0, c0 time.Duration
			for i, p := range peers {
				w, c := turn(b, max(8, (2<<20)/size), p)
				if i == 0 {
					w0, c0 = w, c
				}
				wall[i] = append(wall[i], float64(w)/float64(w0))
				cpu[i] = append(cpu[i], float64(c)/float64(c0))
			}
		}
		for i, p := range peers[1:] {
			b.ReportMetric(median(wall[i+1]), "x_"+p.name)
			b.ReportMetric(median(cpu[i+1]), "xcpu_"+p.name)
		}
		b.ReportMetric(0, "ns/op") // all together: says nothing
	})
}

// turn does the work of p n times, with the garbage of others gone.
func turn(b *testing.B, n int, p peer) (wall, cpu time.Duration) {
	runtime.GC()
	start, used := time.Now(), processorTime()
	for range n {
		if err := p.do(); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start), processorTime() - used
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(f []float64) float64 {
	slices.Sort(f)
	return f[len(f)/2]
}

// document is a file of one size.
type document struct {
	name  string
	bytes []byte
}

// peerFiles are documents of 20 kB, 100 kB and 5 MB that do not compress, like scans.
func peerFiles() []document {
	out := []document{{name: "20kB", bytes: make([]byte, 20<<10)}, {name: "100kB", bytes: make([]byte, 100<<10)}, {name: "5MB", bytes: make([]byte, 5<<20)}}
	for i, d := range out {
		_, _ = rand.NewChaCha8([32]byte{}).Read(d.bytes)
		out[i].bytes = costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 40, Body: "<<>>", Data: d.bytes}}})
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
	for _, d := range peerFiles() {
		base := d.bytes
		b.Run(d.name, func(b *testing.B) {
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
	for _, d := range peerFiles() {
		file := sign(b, d.bytes, who, pades.Options{})
		b.Run(d.name, func(b *testing.B) {
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
