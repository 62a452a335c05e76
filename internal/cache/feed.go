package cache

import "sync"

// feedBuffer is how many messages wait for a slow subscriber.
const feedBuffer = 64

// Feed is the sending side of a subscription, for implementations of
// [Cache.Subscribe]. It never blocks: when the reader is too slow, everything
// that waits is replaced by one empty message, the sign of a gap.
type Feed struct {
	mu     sync.Mutex // guards closed and orders senders
	closed bool
	ch     chan []byte
}

// NewFeed returns an open feed.
func NewFeed() *Feed { return &Feed{ch: make(chan []byte, feedBuffer)} }

// C returns the channel to hand to the subscriber.
func (f *Feed) C() <-chan []byte { return f.ch }

// Offer delivers msg, or records a gap if there is no room.
func (f *Feed) Offer(msg []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	select {
	case f.ch <- msg:
		return
	default:
	}
	f.gapLocked()
}

// Gap tells the reader that messages may have been lost.
func (f *Feed) Gap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.gapLocked()
	}
}

// gapLocked empties the buffer and puts one empty message into it. Only
// senders fill the channel and f.mu is held, so there is room afterwards.
func (f *Feed) gapLocked() {
	for {
		select {
		case <-f.ch:
		default:
			f.ch <- nil
			return
		}
	}
}

// Close ends the feed; the reader sees the closed channel after what waits.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.ch)
	}
}
