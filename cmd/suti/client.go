package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/idp"
)

func (c *cli) newClientCommand() *cobra.Command {
	cmd := group("client", "The registry of client applications",
		"Client applications log people in and ask for signatures. Every change is an entry of the record and of the log.\n\n"+
			"Profiles: gov-fapi2 (key, PAR, DPoP), gov-web (server application: key or secret, PKCE), gov-native and gov-spa\n"+
			"(public, PKCE), legacy (secret; exceptions end within a year).",
		"  suti client add --config suti.toml --id tramites --name \"Trámites en línea\" --institution GAD --profile gov-web --redirect-uri https://tramites.example/auth/callback --jwks tramites.jwks\n"+
			"  suti client list --config suti.toml")
	cmd.AddCommand(c.newClientAddCommand(), c.newClientListCommand(),
		c.newClientShowCommand(), c.newClientSetCommand(), c.newClientSecretCommand(), c.newClientKeysCommand(), c.newClientDisableCommand(), c.newClientEnableCommand())
	return cmd
}

// keySource says where the public keys of a client are.
type keySource struct{ file, uri string }

func (k *keySource) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.file, "jwks", "", "file with the public JWK Set")
	cmd.Flags().StringVar(&k.uri, "jwks-uri", "", "https address where it publishes its JWK Set: the server reads it now, hourly, and when a key is unknown")
}

// maxJWKS bounds a key set, in bytes.
const maxJWKS = 32 << 10

// read returns the key set of the file, or nil if none is named.
func (k *keySource) read() (json.RawMessage, error) {
	if k.file != "" && k.uri != "" {
		return nil, usagef("", "--jwks and --jwks-uri exclude each other")
	}
	if k.file == "" {
		return nil, nil
	}
	r, err := os.Open(k.file)
	if err != nil {
		return nil, usagef("", "--jwks: %w", err)
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxJWKS+1))
	switch {
	case err != nil:
		return nil, failedf("", "read the keys: %w", err)
	case len(raw) > maxJWKS:
		return nil, usagef("", "the keys have more than %d bytes", maxJWKS)
	case !json.Valid(raw):
		return nil, usagef("a JWK Set looks like {\"keys\": [...]}", "the keys are no JSON")
	}
	return raw, nil
}

type clientAddFlags struct {
	admin     adminFlags
	in        clientView
	keys      keySource
	noPKCEFor time.Duration
}

func (c *cli) newClientAddCommand() *cobra.Command {
	var f clientAddFlags
	cmd := &cobra.Command{
		Use: "add", Short: "Register a client application",
		Long: "Register a client application. A confidential one authenticates by key (private_key_jwt, the default): give its\n" +
			"public keys. For one that authenticates by secret, a secret is drawn and told once; only its hash is stored.",
		Example: "  suti client add --config suti.toml --id tramites --name \"Trámites en línea\" --institution GAD --profile gov-web --redirect-uri https://tramites.example/auth/callback --jwks tramites.jwks\n" +
			"  suti client add --config suti.toml --id agenda --name Agenda --institution GAD --profile gov-web --auth-method client_secret_basic --redirect-uri https://agenda.example/cb --scope openid --scope profile",
		Args: operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "id", "name", "institution", "profile"); err != nil {
				return err
			}
			return c.addClient(cmd.Context(), f)
		},
	}
	f.admin.add(cmd)
	f.keys.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.in.ID, "id", "", "client_id: 3 to 64 lower-case letters, digits and hyphens; people see it")
	fl.StringVar(&f.in.Name, "name", "", "what people are told")
	fl.StringVar(&f.in.Institution, "institution", "", "whose application it is: id, short name or name")
	fl.StringVar(&f.in.Profile, "profile", "", strings.Join([]string{idp.ProfileFAPI2, idp.ProfileWeb, idp.ProfileNative, idp.ProfileSPA, idp.ProfileLegacy}, ", "))
	fl.StringVar(&f.in.AuthMethod, "auth-method", "", "private_key_jwt, tls_client_auth, self_signed_tls_client_auth, client_secret_basic, client_secret_post or none; the profile's by default")
	fl.StringVar(&f.in.IDTokenEncryption, "id-token-encryption", "", "encrypt its ID tokens to a key of its own with use enc: RSA-OAEP-256, ECDH-ES or ECDH-ES+A128KW, a space, and A128GCM or A256GCM")
	fl.StringVar(&f.in.UserInfoEncryption, "userinfo-encryption", "", "encrypt the signed answers of userinfo; as --id-token-encryption")
	fl.StringVar(&f.in.TLSSubject, "tls-subject", "", "name in the certificate of tls_client_auth: dn:, dns:, uri:, ip: or email: and the name")
	fl.BoolVar(&f.in.CertBound, "certificate-bound", false, "bind its access tokens to its certificate (RFC 8705), always")
	fl.StringArrayVar(&f.in.RedirectURIs, "redirect-uri", nil, "where codes go, compared letter by letter; repeated")
	fl.StringArrayVar(&f.in.PostLogoutURIs, "post-logout-uri", nil, "where people may go after leaving; repeated")
	fl.StringVar(&f.in.BackchannelURI, "backchannel-logout-uri", "", "where the end of a session is told; its host also needs backchannel.hosts if it is not public")
	fl.StringVar(&f.in.FrontchannelURI, "frontchannel-logout-uri", "", "where the person's browser tells a legacy client of a logout")
	fl.BoolVar(&f.in.FrontchannelSID, "frontchannel-logout-session-required", false, "send iss and sid there")
	fl.StringArrayVar(&f.in.Scopes, "scope", []string{"openid", "profile"}, "what it may ask for; repeated")
	fl.StringArrayVar(&f.in.Grants, "grant", nil, "authorization_code, refresh_token, client_credentials, urn:ietf:params:oauth:grant-type:device_code, urn:ietf:params:oauth:grant-type:token-exchange; the first two by default; repeated")
	fl.StringVar(&f.in.IDTokenAlg, "id-token-alg", "", "signs its ID and JWT access tokens: ES256, PS256, EdDSA, or RS256 outside gov-fapi2")
	fl.StringVar(&f.in.UserInfoAlg, "userinfo-alg", "", "signs the answers of userinfo, which are JSON without: as --id-token-alg")
	fl.StringVar(&f.in.ResponseAlg, "response-alg", "", "signs the answers to its authorization requests in the jwt response modes (JARM); as --id-token-alg, and that by default")
	fl.StringVar(&f.in.IntrospectionAlg, "introspection-alg", "", "signs answers of introspection that it asks for as JWT (RFC 9701); as --id-token-alg, and that by default")
	fl.BoolVar(&f.in.SignedRequests, "signed-requests", false, "take only signed authorization requests from it (request objects, RFC 9101)")
	fl.BoolVar(&f.in.DPoP, "dpop", false, "bind its access tokens to keys that it proves (DPoP), always; gov-fapi2 clients do anyway")
	fl.StringVar(&f.in.AccessTokens, "access-tokens", "", "opaque, which is the default, or jwt (RFC 9068) for interfaces that judge them by themselves; either lives a minute")
	fl.StringArrayVar(&f.in.Resources, "resource", nil, "address for which it may ask access tokens (RFC 8707); repeated")
	fl.StringArrayVar(&f.in.Serves, "serves", nil, "address of an interface that it is: it may introspect its institution's tokens for it; repeated")
	fl.StringArrayVar(&f.in.DetailTypes, "authorization-details-type", nil, "what it may ask people for in one request (RFC 9396): document_signing; repeated")
	fl.StringArrayVar(&f.in.Exchanges, "exchange", nil, "address of a service for which it may exchange a person's token (RFC 8693), with that --grant; repeated")
	fl.DurationVar(&f.noPKCEFor, "waive-pkce", 0, "let a legacy client go without PKCE for so long, a year at most")
	return cmd
}

func (c *cli) addClient(ctx context.Context, f clientAddFlags) error {
	var err error
	if f.in.JWKS, err = f.keys.read(); err != nil {
		return err
	}
	f.in.JWKSURI = f.keys.uri
	if f.noPKCEFor != 0 {
		f.in.Waivers = map[string]time.Time{idp.WaivePKCE: c.now().Add(f.noPKCEFor)}
	}
	return c.tellClient(ctx, f.admin, adminClientAdd, f.in)
}

// tellClient has the server do something with a client and tells how it is then.
func (c *cli) tellClient(ctx context.Context, f adminFlags, path string, in any) error {
	var v clientView
	if err := c.ask(ctx, f, path, in, &v); err != nil {
		return err
	}
	if f.json {
		return c.json(v)
	}
	state := "in use"
	if !v.Disabled.IsZero() {
		state = "disabled since " + dateTime(v.Disabled)
	}
	rows := [][]string{
		{"client_id", v.ID}, {"name", v.Name}, {"state", state}, {"institution", v.Institution}, {"profile", v.Profile}, {"authenticates by", v.AuthMethod},
		{"redirect URIs", strings.Join(v.RedirectURIs, " ")}, {"post-logout URIs", strings.Join(v.PostLogoutURIs, " ")}, {"back-channel URI", v.BackchannelURI},
		{"scopes", strings.Join(v.Scopes, " ")}, {"grants", strings.Join(v.Grants, " ")}, {"ID tokens", v.IDTokenAlg}, {"userinfo", v.UserInfoAlg}, {"keys", keyIDs(v.JWKS)}, {"keys published at", v.JWKSURI}, {"front-channel URI", v.FrontchannelURI}, {"front-channel sid", whether(v.FrontchannelSID, "sent")}, {"responses in jwt modes", v.ResponseAlg}, {"signed introspection", v.IntrospectionAlg}, {"ID tokens encrypted", v.IDTokenEncryption}, {"userinfo encrypted", v.UserInfoEncryption}, {"name in its certificate", v.TLSSubject}, {"certificate-bound tokens", whether(v.CertBound, "always")}, {"signed requests", whether(v.SignedRequests, "always")}, {"DPoP", whether(v.DPoP, "always")},
		{"access tokens", v.AccessTokens}, {"may ask for", strings.Join(v.Resources, " ")}, {"serves", strings.Join(v.Serves, " ")}, {"authorization details", strings.Join(v.DetailTypes, " ")}, {"exchanges for", strings.Join(v.Exchanges, " ")},
		{"registered", dateTime(v.Created)}, {"version", fmt.Sprint(v.Version)},
	}
	for rule, until := range v.Waivers {
		rows = append(rows, []string{"waived until " + dateTime(until), rule})
	}
	for _, s := range v.Secrets {
		rows = append(rows, []string{"secret of " + dateTime(s.Created), "accepted until " + dateTime(s.Expires)})
	}
	if err := c.table(filled(rows)); err != nil {
		return err
	}
	if err := c.tellReceipts(v.Receipts); err != nil || v.Secret == "" {
		return err
	}
	c.printf("\nThe secret, which is told this once and stored nowhere in clear:\n\n  %s\n", v.Secret)
	return nil
}

// tellReceipts tells what became of the notices that a session ended.
func (c *cli) tellReceipts(r *receiptsView) error {
	if r == nil {
		return nil
	}
	c.printf("\nLogout notices of 30 days: %d delivered, %d waiting, %d given up.\n", r.Delivered, r.Queued, r.GivenUp)
	if len(r.Latest) == 0 {
		return nil
	}
	rows := [][]string{{"queued", "state", "tries", "last outcome", "sid"}}
	for _, n := range r.Latest {
		last := ""
		if len(n.Log) > 0 {
			if last = n.Log[0].Outcome; n.Log[0].Status != 0 {
				last += fmt.Sprintf(" (%d)", n.Log[0].Status)
			}
			last += ", " + dateTime(n.Log[0].At)
		}
		rows = append(rows, []string{dateTime(n.Queued), n.State, fmt.Sprint(n.Tries), last, n.SID})
	}
	return c.table(rows)
}

// whether returns a word for what is so, "" for what is not.
func whether(so bool, word string) string {
	if so {
		return word
	}
	return ""
}

// keyIDs lists the kids of a key set.
func keyIDs(set json.RawMessage) string {
	var s struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	_ = json.Unmarshal(set, &s) // a client without keys has none
	ids := make([]string, len(s.Keys))
	for i, k := range s.Keys {
		ids[i] = k.ID
	}
	return strings.Join(ids, " ")
}

func (c *cli) newClientListCommand() *cobra.Command {
	return c.newAdminCall("list", "List client applications by id", "  suti client list --config suti.toml\n  suti client list --config suti.toml --json",
		func(ctx context.Context, f adminFlags) error {
			var list []clientView
			if err := c.ask(ctx, f, adminClientList, nothing{}, &list); err != nil {
				return err
			}
			if f.json {
				return c.json(list)
			}
			rows := [][]string{{"client_id", "profile", "authenticates by", "institution", "state", "name"}}
			for _, v := range list {
				state := "in use"
				if !v.Disabled.IsZero() {
					state = "disabled"
				}
				rows = append(rows, []string{v.ID, v.Profile, v.AuthMethod, v.Institution, state, v.Name})
			}
			return c.table(rows)
		})
}

// newClientChange returns a command on one client.
func (c *cli) newClientChange(use, short, long, example string, flags func(*cobra.Command), run func(context.Context, adminFlags, string) error) *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: use + " CLIENT", Short: short, Long: long, Example: example, Args: operands(1, 1, "the id of a client"),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), f, args[0]) },
	}
	f.add(cmd)
	if flags != nil {
		flags(cmd)
	}
	return cmd
}

func (c *cli) newClientShowCommand() *cobra.Command {
	return c.newClientChange("show", "Show a client application", "Show a client application, with what became of the notices to it that sessions ended: delivered, refused with a status,\nunreachable, left alone because its host keeps failing (breaker-open), given up.", "  suti client show --config suti.toml tramites", nil, func(ctx context.Context, f adminFlags, id string) error {
		return c.tellClient(ctx, f, adminClientShow, clientRequest{ID: id})
	})
}

func (c *cli) newClientSecretCommand() *cobra.Command {
	overlap := 24 * time.Hour
	return c.newClientChange("rotate-secret", "Draw another secret for a client",
		"Draw another secret for a client that authenticates by secret, and tell it this once. The earlier one is accepted\nfor a while more, so that the application can change over.",
		"  suti client rotate-secret --config suti.toml agenda\n  suti client rotate-secret --config suti.toml --overlap 0s agenda",
		func(cmd *cobra.Command) {
			cmd.Flags().DurationVar(&overlap, "overlap", overlap, "how long the earlier secret goes on, 30 days at most; 0s if it has leaked")
		},
		func(ctx context.Context, f adminFlags, id string) error {
			return c.tellClient(ctx, f, adminClientSecret, clientRequest{ID: id, Overlap: int64(overlap / time.Second)})
		})
}

func (c *cli) newClientKeysCommand() *cobra.Command {
	var keys keySource
	return c.newClientChange("set-keys", "Replace the public keys of a client",
		"Replace the public keys of a client that authenticates by key. Put the old key into the set beside the new one while\nthe application changes over.",
		"  suti client set-keys --config suti.toml --jwks tramites.jwks tramites", keys.add,
		func(ctx context.Context, f adminFlags, id string) error {
			set, err := keys.read()
			if err != nil {
				return err
			}
			if keys.uri != "" {
				return c.tellClient(ctx, f, adminClientSet, clientChange{ID: id, JWKSURI: &keys.uri})
			}
			if set == nil {
				return usagef("see: suti client set-keys --help", "suti client set-keys needs --jwks or --jwks-uri")
			}
			return c.tellClient(ctx, f, adminClientKeys, clientRequest{ID: id, JWKS: set})
		})
}

func (c *cli) newClientDisableCommand() *cobra.Command {
	var reason string
	return c.newClientChange("disable", "Take a client out of use at once",
		"Take a client out of use at once: it is refused everywhere, and its codes, tokens and sessions are dead.",
		"  suti client disable --config suti.toml --reason \"key leaked\" tramites",
		func(cmd *cobra.Command) { cmd.Flags().StringVar(&reason, "reason", "", "why, for the record") },
		func(ctx context.Context, f adminFlags, id string) error {
			return c.tellClient(ctx, f, adminClientDisable, clientRequest{ID: id, Reason: reason})
		})
}

func (c *cli) newClientEnableCommand() *cobra.Command {
	return c.newClientChange("enable", "Bring a disabled client back", "Bring a disabled client back. What was granted before stays dead: people enter anew.",
		"  suti client enable --config suti.toml tramites", nil, func(ctx context.Context, f adminFlags, id string) error {
			return c.tellClient(ctx, f, adminClientEnable, clientRequest{ID: id})
		})
}
