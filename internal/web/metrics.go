package web

import (
	"cmp"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests. Its labels are bounded: the three muxes, the patterns
// that the program registers, eight methods, the statuses that it answers.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

// newMetrics makes the metrics and registers them, unless reg is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "suti_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"mux", "route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "suti_http_request_duration_seconds", Help: "Time from request to answer, by route.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"mux", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "suti_http_requests_in_flight", Help: "Requests being answered.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "suti_http_panics_total", Help: "Handlers that panicked; each is a fault of the program.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.inFlight, m.panics} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) count(ex *exchange, method string, status int, took time.Duration) {
	mux, route := cmp.Or(ex.mux, "none"), cmp.Or(ex.route, "none")
	m.requests.WithLabelValues(mux, route, method, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(mux, route).Observe(took.Seconds())
}
