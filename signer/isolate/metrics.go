package isolate

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oruro.gob.bo/suti/signer/pades"
)

// counters count children. The outcomes are those of [outcome].
type counters struct {
	children *prometheus.CounterVec
	duration prometheus.Histogram
}

// newCounters makes the metrics and registers them, unless reg is nil.
func newCounters(reg prometheus.Registerer) (*counters, error) {
	m := &counters{
		children: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "suti_verify_children_total", Help: "Files judged in a child process, by what came of it.",
		}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "suti_verify_child_duration_seconds", Help: "Time of a child process, from start to answer.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.children), reg.Register(m.duration))
}

func (m *counters) count(err error, took time.Duration) {
	m.children.WithLabelValues(outcome(err)).Inc()
	m.duration.Observe(took.Seconds())
}

// outcome is one of: report, refused, memory, cpu, wall, report_size, crashed,
// interrupted, cancelled, failed.
func outcome(err error) string {
	var no *pades.RefusedError
	var limit *LimitError
	switch {
	case err == nil:
		return "report"
	case errors.As(err, &no):
		return "refused"
	case errors.As(err, &limit) && limit.Limit == Report:
		return "report_size"
	case errors.As(err, &limit):
		return string(limit.Limit)
	case errors.Is(err, ErrCrashed):
		return "crashed"
	case errors.Is(err, ErrInterrupted):
		return "interrupted"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "cancelled"
	}
	return "failed"
}
