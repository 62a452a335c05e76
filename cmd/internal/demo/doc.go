// Package demo runs the whole system on this machine with embedded defaults:
// the service, two sample applications of different institutions, and invented
// people with software keys. It makes what is missing on the first start and
// finds everything again on the next. Everything it shows is marked as a
// demonstration, and it serves loopback addresses only.
//
// demo.json, in its folder, tells outside programs how to drive it; its shape is
// documented in docs/demo.md and stays stable.
package demo
