// Package cades signs files of any kind and judges such signatures: CAdES
// baseline signatures (ETSI EN 319 122-1 V1.3.1) of levels B-B, B-T and B-LT,
// detached, that is, in a file of their own beside the one they are about. It
// stores nothing, opens no connection and reads no clock.
//
// Signing has separate steps, as in package pades, so that the person can
// consent to what is to be signed, and the key can be anywhere:
//
//	session, err := cades.Prepare(ctx, content, options)       // digest fixed
//	tbs, err := session.SignedAttributes(chain, …)             // certificate known now
//	value, err := key.Sign(rand.Reader, tbs.Input, tbs.Opts)
//	signed, err := session.Embed(ctx, cades.Signature{…})      // checked, then encoded
//	signed, err = signed.Extend(ctx, …)                        // evidence, for B-LT
//
// A [Session] can be stored between the steps; [Sign] does all of them. With
// [Options].Existing the signature is put beside those of others over the same
// file, each with a SignerInfo of its own.
//
// Evidence of level B-LT stands in SignedData.certificates and SignedData.crls,
// as the baseline wants it, never in unsigned attributes. Level B-LTA is not
// written, and archive time-stamps of others are not judged.
//
// Invariants: the content is read once and never held in memory; a signature
// value is checked against its certificate, and a time-stamp against the value,
// before either is given out; the media type that the signer declares is
// signed. [Verify] decides with the same code as package pades and never calls
// valid what it does not fully understand.
//
// It is usable without the rest of Suti. Above it are only package signer and cmd.
package cades
