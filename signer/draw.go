package signer

import (
	"bytes"
	"context"
	"errors"
	"time"

	"oruro.gob.bo/suti/signer/internal/store"
)

const (
	// MaxPagesShown bounds the page images of one document; the rest is read in the PDF.
	MaxPagesShown = 30
	maxImage      = 8 << 20 // bytes of one PNG
	drawWithin    = 20 * time.Second
)

// draw returns the page images of a document as it is now, which it makes the
// first time and keeps. A file that cannot be drawn, or not in time, has none: the
// person then reads the PDF itself, and the evidence says that no images were shown.
func (s *Service) draw(ctx context.Context, owner string, d store.RequestDocument) ([]store.Page, error) {
	have, err := s.store.Pages(ctx, d.SHA256, owner)
	if err != nil || len(have) > 0 || s.cfg.Renderer == nil {
		return have, err
	}
	select { // drawing takes memory and time: one at a time, and nobody waits long
	case s.drawing <- struct{}{}:
		defer func() { <-s.drawing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f, err := s.cfg.Blobs.OpenOwned(ctx, owner, d.SHA256)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	limit, cancel := context.WithTimeout(ctx, drawWithin)
	defer cancel()
	var made []store.Page
	var stored error
	_, err = s.cfg.Renderer.Render(limit, f, f.Size(), MaxPagesShown, func(_, width, height int, png []byte) error {
		ref, err := s.cfg.Blobs.Put(ctx, bytes.NewReader(png), maxImage, owner)
		if err != nil {
			stored = err
			return err
		}
		made = append(made, store.Page{Image: ref.SHA256, Size: ref.Size, Width: width, Height: height})
		return nil
	})
	if err != nil {
		if stored != nil || ctx.Err() != nil {
			return nil, errors.Join(stored, ctx.Err())
		}
		s.cfg.Logger.WarnContext(ctx, "pages not drawn", "document", d.ID, "error", err)
		return nil, nil
	}
	if err := s.store.PutPages(ctx, d.SHA256, owner, made); err != nil {
		return nil, err
	}
	return s.store.Pages(ctx, d.SHA256, owner)
}
