package tsa

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/tsp"
)

// errBehind reports that another node has put a later time into a token.
var errBehind = errors.New("tsa: another node is ahead")

// attempts bounds how often a batch looks at the other nodes' time again.
const attempts = 5

// allocate waits until the request has its number and time committed.
func (s *Service) allocate(ctx context.Context, req *tsp.Request) (*pending, error) {
	p := &pending{imprint: req.Imprint, nonce: req.Nonce, done: make(chan struct{})}
	s.mu.Lock()
	if len(s.queue) >= s.cfg.MaxQueue {
		s.mu.Unlock()
		return nil, ErrBusy
	}
	s.queue = append(s.queue, p)
	lead := !s.leading
	s.leading = true
	s.mu.Unlock()
	if lead {
		// The batch outlives the request that happened to begin it.
		go s.drain(context.WithoutCancel(ctx))
	}
	select {
	case <-p.done:
		return p, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// drain allocates in batches until nobody waits.
func (s *Service) drain(ctx context.Context) {
	for {
		s.mu.Lock()
		n := min(len(s.queue), s.cfg.MaxBatch)
		batch := s.queue[:n:n]
		s.queue = s.queue[n:]
		if n == 0 {
			s.queue, s.leading = nil, false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		err := s.commit(ctx, batch)
		for _, p := range batch {
			p.err = err
			close(p.done)
		}
	}
}

// commit gives a batch its numbers and time, durably.
func (s *Service) commit(ctx context.Context, batch []*pending) (err error) {
	defer func() {
		if v := recover(); v != nil { // those who wait must be told
			err = fmt.Errorf("tsa: panic while allocating: %v", v)
		}
	}()
	for range attempts {
		gen, unit, err := s.time(ctx)
		if err != nil {
			return err
		}
		entries, err := s.prepare(ctx, batch, gen, unit)
		if err != nil {
			return err
		}
		err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error { return s.insert(tx, batch, entries, gen, unit) })
		if err == nil {
			s.last = gen
			return nil
		}
		if !errors.Is(err, errBehind) {
			return fmt.Errorf("record tokens: %w", err)
		}
		var last int64
		if err := s.cfg.DB.QueryRow(ctx, `SELECT last FROM tsa_clock WHERE id = 1`).Scan(&last); err != nil {
			return fmt.Errorf("read time of last token: %w", err)
		}
		if t := db.Time(last); t.After(s.last) {
			s.last = t
		}
	}
	return errBehind
}

// time returns the time for tokens made now, in whole milliseconds, and the
// unit to sign them. It never returns less than was used before; where that
// would put the token's time further off than its accuracy, it is [ErrTime].
func (s *Service) time(ctx context.Context) (time.Time, Unit, error) {
	now, bound, err := s.cfg.Clock.Now(ctx)
	if err != nil {
		return time.Time{}, Unit{}, fmt.Errorf("%w: %w", ErrTime, err)
	}
	gen := now.UTC().Truncate(time.Millisecond)
	off := bound + now.Sub(gen)
	if gen.Before(s.last) {
		gen = s.last
		off = bound + gen.Sub(now)
	}
	if bound < 0 || off > s.cfg.Accuracy {
		return time.Time{}, Unit{}, fmt.Errorf("%w: may be %s off, accuracy is %s", ErrTime, off, s.cfg.Accuracy)
	}
	unit, err := s.cfg.Units.Unit(ctx, gen)
	if err != nil {
		return time.Time{}, Unit{}, err
	}
	if c := unit.Certificate; gen.Before(c.NotBefore) || gen.After(c.NotAfter) || !gen.Before(unit.UseUntil) {
		return time.Time{}, Unit{}, fmt.Errorf("%w: certificate or key is out of its time", ErrNoUnit)
	}
	return gen, unit, nil
}

// prepare fixes each token's content and its audit entry.
func (s *Service) prepare(ctx context.Context, batch []*pending, gen time.Time, unit Unit) ([]*audit.Prepared, error) {
	entries := make([]*audit.Prepared, 0, len(batch))
	for _, p := range batch {
		p.sn = make([]byte, 17)
		_, _ = rand.Read(p.sn) // crypto/rand.Read never returns an error (Go 1.24)
		p.sn[0] = s.cfg.Prefix
		p.unit = unit
		p.info = &tsp.TSTInfo{Policy: s.cfg.Policy, Imprint: p.imprint, Serial: new(big.Int).SetBytes(p.sn), GenTime: gen,
			Accuracy: s.cfg.Accuracy, Nonce: p.nonce, TSA: tsp.DirectoryName(unit.Certificate.RawSubject)}
		content, err := p.info.Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode TSTInfo: %w", err)
		}
		sum := sha256.Sum256(content)
		e, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "tsa.stamp", Actor: "service:tsa", Outcome: audit.OutcomeOK,
			Object: hex.EncodeToString(p.sn), Leaf: sum[:]})
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// insert writes a batch. One statement decides whether its time may still be used.
func (s *Service) insert(tx *db.Tx, batch []*pending, entries []*audit.Prepared, gen time.Time, unit Unit) error {
	n, err := tx.Exec(`UPDATE tsa_clock SET last = $1 WHERE id = 1 AND last <= $1`, db.Micros(gen))
	if err != nil {
		return err
	}
	if n != 1 {
		return errBehind
	}
	for i, p := range batch {
		id, err := s.cfg.Audit.Append(tx, entries[i])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO tsa_token (sn, unit, gen_time, hash, imprint, policy, audit) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			p.sn, unit.SN, db.Micros(gen), int64(p.imprint.Hash.Size()*8), p.imprint.Digest, s.cfg.Policy.String(), id); err != nil {
			return err
		}
	}
	return nil
}
