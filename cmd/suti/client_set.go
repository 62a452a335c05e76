package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/idp"
)

// newClientSetCommand changes what may change after registration.
func (c *cli) newClientSetCommand() *cobra.Command {
	var (
		keys                    keySource
		name, back, front       string
		redirect, leave, scopes []string
		frontSID                bool
		noPKCEFor               time.Duration
		fl                      func(string) bool
	)
	return c.newClientChange("set", "Change a client after registration",
		"Change a client after registration. A list that is given replaces the whole list; what is not named stays. The change\n"+
			"is in effect at once: no login under way goes to an address that was taken out. Every change is an entry of the\n"+
			"record and of the log, with what was before.",
		"  suti client set --config suti.toml --redirect-uri https://tramites.example/auth/callback --redirect-uri https://tramites.example/nuevo tramites\n"+
			"  suti client set --config suti.toml --jwks-uri https://tramites.example/jwks.json tramites",
		func(cmd *cobra.Command) {
			f := cmd.Flags()
			keys.add(cmd)
			f.StringVar(&name, "name", "", "what people are told")
			f.StringArrayVar(&redirect, "redirect-uri", nil, "where codes go, compared letter by letter; repeated")
			f.StringArrayVar(&leave, "post-logout-uri", nil, "where people may go after leaving; repeated; one empty value for none")
			f.StringArrayVar(&scopes, "scope", nil, "what it may ask for; repeated")
			f.StringVar(&back, "backchannel-logout-uri", "", "where the end of a session is told; empty for nowhere")
			f.StringVar(&front, "frontchannel-logout-uri", "", "where the person's browser tells a legacy client of a logout; empty for nowhere")
			f.BoolVar(&frontSID, "frontchannel-logout-session-required", false, "send iss and sid there")
			f.DurationVar(&noPKCEFor, "waive-pkce", 0, "let a legacy client go without PKCE for so long from now, a year at most; 0s ends it")
			fl = f.Changed
		},
		func(ctx context.Context, f adminFlags, id string) error {
			set, err := keys.read()
			if err != nil {
				return err
			}
			in := clientChange{ID: id, JWKS: set}
			given(fl, "name", &in.Name, name)
			given(fl, "redirect-uri", &in.RedirectURIs, filledWords(redirect))
			given(fl, "post-logout-uri", &in.PostLogoutURIs, filledWords(leave))
			given(fl, "scope", &in.Scopes, filledWords(scopes))
			given(fl, "backchannel-logout-uri", &in.BackchannelURI, back)
			given(fl, "frontchannel-logout-uri", &in.FrontchannelURI, front)
			given(fl, "frontchannel-logout-session-required", &in.FrontchannelSID, frontSID)
			given(fl, "jwks-uri", &in.JWKSURI, keys.uri)
			waivers := map[string]time.Time{}
			if noPKCEFor != 0 {
				waivers[idp.WaivePKCE] = c.now().Add(noPKCEFor)
			}
			given(fl, "waive-pkce", &in.Waivers, waivers)
			return c.tellClient(ctx, f, adminClientSet, in)
		})
}

// given sets a thing if its flag was given.
func given[T any](changed func(string) bool, flag string, to **T, value T) {
	if changed(flag) {
		*to = &value
	}
}

// filledWords drops empty words, with which a list is emptied.
func filledWords(list []string) []string {
	out := []string{}
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}
