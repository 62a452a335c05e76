package signer

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/web"
)

// Bounds of public verification, beside those of Config.
const (
	// uploadsPerClient is how many uploads one client may have in hand at a time,
	// so that slow ones of a few do not take every place.
	uploadsPerClient = 6
	// waitLimit is how long a complete upload waits to be judged; then the answer
	// is 503. With the time that judging takes it is less than the connection's
	// time-out after an upload.
	waitLimit = 45 * time.Second
	// retryAfter is when to come back, in seconds, if the service is busy.
	retryAfter = "30"
	// drained is how much of an upload is read after it has been refused: a
	// browser that is cut off while it sends does not show the answer.
	drained = 16 << 20
)

// verifyRate bounds how often one client may have files verified. Many people
// may share an address, so it is generous.
var verifyRate = cache.Rate{Count: 30, Per: 10 * time.Minute, Burst: 20}

// admission bounds how many uploads are in hand and how many files are judged.
type admission struct {
	judging chan struct{}
	most    int

	mu   sync.Mutex     // guards the fields below
	all  int            // uploads in hand
	each map[string]int // of each client that has any
}

func newAdmission(judging, uploads int) *admission {
	return &admission{judging: make(chan struct{}, judging), most: uploads, each: map[string]int{}}
}

// enter takes a place for an upload, or refuses with [CodeVerifyBusy].
func (a *admission) enter(client string) (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all >= a.most || a.each[client] >= uploadsPerClient {
		return nil, refuse(CodeVerifyBusy, nil)
	}
	a.all++
	a.each[client]++
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all--
		if a.each[client]--; a.each[client] == 0 {
			delete(a.each, client)
		}
	}), nil
}

// turn waits until a file may be judged, or refuses with [CodeVerifyBusy].
func (a *admission) turn(ctx context.Context) (done func(), err error) {
	within, cancel := context.WithTimeoutCause(ctx, waitLimit, refuse(CodeVerifyBusy, nil))
	defer cancel()
	select {
	case a.judging <- struct{}{}:
		return func() { <-a.judging }, nil
	case <-within.Done():
		return nil, context.Cause(within)
	}
}

// admit lets a client upload a file to be verified, or says why not: a 429 or a
// 503, after the upload has been let run out.
func (s *Service) admit(r *http.Request) (leave func(), err error) {
	defer func() {
		if err != nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, drained)) // what it holds is refused in any case
		}
	}()
	client := web.ClientKey(r)
	if s.cfg.Limiter != nil {
		d, err := s.cfg.Limiter.Take(r.Context(), "signer:verify:"+s.cfg.Public.Host()+":"+client, verifyRate, 1)
		if err != nil {
			return nil, web.Unavailable(err)
		}
		if !d.Allowed {
			e := web.TooMany(d.RetryAfter)
			e.Code, e.Detail = string(CodeVerifyRate), detailKey(string(CodeVerifyRate))
			return nil, e
		}
	}
	if leave, err = s.admission.enter(client); err != nil {
		return nil, reply(err)
	}
	return leave, nil
}

// busy is the answer when a file could not be judged now, and may be later.
func busy(e *web.Error) *web.Error {
	if e.Status == http.StatusServiceUnavailable {
		e.Header = http.Header{"Retry-After": {retryAfter}}
	}
	return e
}
