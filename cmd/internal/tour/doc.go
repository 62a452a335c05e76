// Package tour takes the whole of Suti through its main job, headless and over
// real HTTP: people are enrolled, a citizen logs in at two applications with one
// sign-on, an official signs a PDF with a passkey, and what came out is verified
// by means of our own and of others. Then it tries to cheat, and wants each
// attempt refused for its proper reason. It uses the pages, forms and ceremonies
// that a person's browser uses, with a software authenticator for fingers.
package tour
