package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// maxRequests bounds the list that is kept; the oldest give way.
const maxRequests = 500

// request is a signature request that a person made here.
type request struct {
	ID      string // ours
	Owner   string // subject of who asked
	Remote  string // Suti's id
	Title   string
	Signer  string // as it was chosen
	Created time.Time
}

// requests keeps what was asked, in a file if there is one.
type requests struct {
	path string

	mu   sync.Mutex // guards list and the file
	list []request  // oldest first
}

func openRequests(path string) (*requests, error) {
	s := &requests{path: path}
	if path == "" {
		return s, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &s.list); err != nil {
		return nil, fmt.Errorf("sample: %s is unreadable: %w", filepath.Base(path), err)
	}
	return s, nil
}

// add keeps a request; one with that id and owner stays as it is.
func (s *requests) add(r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.list {
		if have.ID == r.ID {
			return nil
		}
	}
	next := append(append([]request(nil), s.list...), r)
	if len(next) > maxRequests {
		next = next[len(next)-maxRequests:]
	}
	if err := s.save(next); err != nil {
		return err
	}
	s.list = next
	return nil
}

// save replaces the file as a whole.
func (s *requests) save(list []request) error {
	if s.path == "" {
		return nil
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), ".solicitudes-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error is the one to tell
	}
	return err
}

// find returns a person's request.
func (s *requests) find(owner, id string) (request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.list {
		if r.ID == id && r.Owner == owner {
			return r, true
		}
	}
	return request{}, false
}

// of returns a person's requests, newest first.
func (s *requests) of(owner string) []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []request
	for i := len(s.list) - 1; i >= 0; i-- {
		if s.list[i].Owner == owner {
			out = append(out, s.list[i])
		}
	}
	return out
}
