package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oruro.gob.bo/suti/internal/db"
)

// registerMetrics adds what the process knows of itself to the registry. What
// the contexts count they register themselves.
func (s *server) registerMetrics() {
	stats := func(name, help string, of func(db.Stats) int64) {
		s.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "suti", Subsystem: "db", Name: name, Help: help}, func() float64 {
			return float64(of(s.app.DB.Stats()))
		}))
	}
	stats("commits_total", "Transactions committed.", func(d db.Stats) int64 { return d.Commits })
	stats("writes_total", "Writes that took effect; many share a commit.", func(d db.Stats) int64 { return d.Writes })
	stats("retries_total", "Writes run again after lock or connection failures.", func(d db.Stats) int64 { return d.Retries })
	stats("ambiguous_total", "Commits whose outcome had to be looked up.", func(d db.Stats) int64 { return d.Ambiguous })
	gauge := func(name, help string, value func() float64) {
		s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "suti", Name: name, Help: help}, value))
	}
	gauge("start_time_seconds", "When the server was started, Unix time.", func() float64 { return float64(s.started.Unix()) })
	gauge("authority_expiry_seconds", "When the first of the authorities in use expires, Unix time; 0 if there is none.", func() float64 {
		var first time.Time
		for _, a := range s.app.CA.Authorities() {
			if first.IsZero() || a.Certificate.NotAfter.Before(first) {
				first = a.Certificate.NotAfter
			}
		}
		if first.IsZero() {
			return 0
		}
		return float64(first.Unix())
	})
}
