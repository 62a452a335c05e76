package db

import "context"

// requireKey is where a context carries the condition of its writes.
type requireKey struct{}

// Requiring returns a context whose writes depend on a condition: every Write
// with it, or with a context made from it, first runs cond in the transaction of
// its closure, and if cond fails it changes nothing and returns that error. cond
// is under the rules of a closure: no I/O, re-runnable. nil lifts the condition.
//
// It is for the edge: who acts was found out once per request, and no write that
// the request leads to, however deep, may be forgotten when that is to hold until
// the commit.
func Requiring(ctx context.Context, cond func(*Tx) error) context.Context {
	return context.WithValue(ctx, requireKey{}, cond)
}

// required returns fn under the condition of ctx.
func required(ctx context.Context, fn func(*Tx) error) func(*Tx) error {
	cond, _ := ctx.Value(requireKey{}).(func(*Tx) error)
	if cond == nil {
		return fn
	}
	return func(tx *Tx) error {
		if err := cond(tx); err != nil {
			return err
		}
		return fn(tx)
	}
}
