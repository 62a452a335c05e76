package idp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"time"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/flow"
	"oruro.gob.bo/suti/idp/internal/jwks"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// The client profiles, fixed in code.
const (
	ProfileFAPI2  = oauth.ProfileFAPI2
	ProfileWeb    = oauth.ProfileWeb
	ProfileNative = oauth.ProfileNative
	ProfileSPA    = oauth.ProfileSPA
	ProfileLegacy = oauth.ProfileLegacy
)

// The forms of access tokens.
const (
	FormatOpaque = oauth.FormatOpaque
	FormatJWT    = oauth.FormatJWT
)

// WaivePKCE names the waiver by which a legacy client sends no code challenge.
const WaivePKCE = oauth.WaivePKCE

// ErrClient reports a client that may not be registered; the text says why.
var ErrClient = errors.New("idp: client registration")

// secretLifetime is how long a generated secret lives.
const secretLifetime = 2 * 365 * 24 * time.Hour

// maxWaiver bounds how far ahead a waiver may end.
const maxWaiver = 366 * 24 * time.Hour

var (
	clientID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{2,63}$`)
	scopeRE  = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]{1,64}$`) // RFC 6749 §3.3 scope-token
)

// Client is a registration. The profile decides what is possible: gov-fapi2 and
// gov-web authenticate by key (gov-web also by a generated secret), gov-native
// and gov-spa are public, legacy may carry waivers.
type Client struct {
	ID             string // also shown to people in addresses: short lower-case words
	Institution    identity.InstitutionID
	Sector         string // whose clients share subjects; the institution by default
	Profile        string
	Name           string // what people are told
	AuthMethod     string // private_key_jwt by default for confidential profiles
	JWKS           string // public JWK Set for private_key_jwt
	JWKSURI        string // https address where it publishes them instead: read now and again when needed
	RedirectURIs   []string
	PostLogoutURIs []string
	Scopes         []string
	Grants         []string // authorization_code and refresh_token by default
	IDTokenAlg     string   // of ID, logout and JWT access tokens: ES256 by default, PS256, EdDSA, RS256 (legacy by default, never gov-fapi2)
	UserInfoAlg    string   // signs the answers of userinfo; "" for JSON
	ResponseAlg    string   // signs authorization responses in the jwt modes (JARM); IDTokenAlg by default
	// IntrospectionAlg signs answers of introspection that are asked for as JWT (RFC 9701); IDTokenAlg by default.
	IntrospectionAlg string
	// IDTokenEncryption and UserInfoEncryption are how these are encrypted to one of its keys with use enc: RSA-OAEP-256,
	// ECDH-ES or ECDH-ES+A128KW, a space, and A128GCM or A256GCM; "" for not. Answers of userinfo are signed then.
	IDTokenEncryption, UserInfoEncryption string
	TLSSubject                            string // of tls_client_auth: dn:, dns:, uri:, ip: or email: and the name in its certificate
	CertBound                             bool   // access tokens are always bound to its certificate (RFC 8705); gov-fapi2 needs no DPoP then
	SignedRequests                        bool   // its authorization requests must be signed (RFC 9101); needs keys
	BackchannelURI                        string
	FrontchannelURI                       string   // told of a logout in the person's browser (Front-Channel Logout 1.0); legacy clients only
	FrontchannelSID                       bool     // with iss and sid
	DPoP                                  bool     // access tokens are always bound to a key (RFC 9449); gov-fapi2 always
	AccessTokens                          string   // FormatOpaque by default, or FormatJWT: at+jwt (RFC 9068), which lives a minute at most
	Resources                             []string // URIs for which it may ask access tokens (RFC 8707)
	Serves                                []string // URIs that it is: it may introspect tokens of its institution's clients for them
	Exchanges                             []string // URIs of services for which it may exchange a person's token (RFC 8693)
	DetailTypes                           []string // types of authorization details that it may ask for (RFC 9396)
	Waivers                               map[string]time.Time
}

// Register adds a client. For clients that authenticate by secret it returns
// the one secret it drew, which is stored nowhere in clear. actor is as in audit
// entries: a person's id, "operator:…"; or empty.
func (p *Provider) Register(ctx context.Context, actor string, in Client) (secret string, err error) {
	if in.JWKSURI != "" {
		if in.JWKS != "" {
			return "", bad("keys were given, and an address of keys")
		}
		if in.JWKS, err = p.readKeys(ctx, in.JWKSURI); err != nil {
			return "", err
		}
	}
	row, err := p.row(in)
	if err != nil {
		return "", err
	}
	if row.AuthMethod == "client_secret_basic" || row.AuthMethod == "client_secret_post" {
		secret = client.NewSecret()
	}
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.client.registered", Actor: actor, Client: row.ID, Institution: string(row.Institution), Object: row.ID, Outcome: "registered",
		Payload: map[string]any{"profile": row.Profile, "auth_method": row.AuthMethod, "redirect_uris": row.RedirectURIs, "scopes": row.Scopes, "jwks_uri": row.JWKSURI, "frontchannel_uri": row.FrontchannelURI, "waivers": row.Waivers,
			"dpop": row.DPoP, "access_tokens": row.TokenFormat, "resources": row.Resources, "serves": row.Serves, "exchanges": row.Exchanges, "detail_types": row.DetailTypes, "signed_requests": row.SignedRequests, "tls_subject": row.TLSSubject, "certificate_bound": row.CertBound,
			"id_token_encryption": row.IDTokenEncryption, "userinfo_encryption": row.UserInfoEncryption},
	})
	if err != nil {
		return "", err
	}
	for _, alg := range []string{row.IDTokenAlg, row.UserInfoAlg, row.ResponseAlg, row.IntrospectionAlg} {
		if err := p.keys.Have(ctx, alg); err != nil {
			return "", err
		}
	}
	hash := p.clients.HashSecret(row.ID, secret)
	err = p.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := store.InsertClient(tx, row); err != nil {
			return err
		}
		if secret != "" {
			if err := store.InsertSecret(tx, row.ID, hash, row.CreatedAt, row.CreatedAt.Add(secretLifetime)); err != nil {
				return err
			}
		}
		_, err := p.cfg.Audit.Append(tx, entry)
		return err
	})
	if db.IsUnique(err, "idp_client") {
		return "", fmt.Errorf("%w: the id %q is taken", ErrClient, row.ID)
	}
	if err != nil {
		return "", err
	}
	return secret, nil
}

// row checks a registration and fills in the profile's defaults.
func (p *Provider) row(in Client) (*store.Client, error) {
	now := p.cfg.Now()
	c := &store.Client{
		ID: in.ID, Institution: in.Institution, Sector: in.Sector, Profile: in.Profile, Name: in.Name, AuthMethod: in.AuthMethod, JWKS: in.JWKS,
		RedirectURIs: in.RedirectURIs, PostLogoutURIs: in.PostLogoutURIs, Scopes: in.Scopes, Grants: in.Grants, IDTokenAlg: in.IDTokenAlg, UserInfoAlg: in.UserInfoAlg,
		ResponseAlg: in.ResponseAlg, IntrospectionAlg: in.IntrospectionAlg, SignedRequests: in.SignedRequests, BackchannelURI: in.BackchannelURI, IDTokenEncryption: in.IDTokenEncryption, UserInfoEncryption: in.UserInfoEncryption, TLSSubject: in.TLSSubject, CertBound: in.CertBound, DPoP: in.DPoP || in.Profile == oauth.ProfileFAPI2 && !in.CertBound, Waivers: in.Waivers, CreatedAt: now,
		TokenFormat: in.AccessTokens, Resources: in.Resources, Serves: in.Serves, Exchanges: in.Exchanges, DetailTypes: in.DetailTypes,
		JWKSURI: in.JWKSURI, FrontchannelURI: in.FrontchannelURI, FrontchannelSID: in.FrontchannelSID,
	}
	if c.JWKSURI != "" {
		c.JWKSReadAt = now
	}
	if c.Sector == "" {
		c.Sector = string(c.Institution)
	}
	if c.Grants == nil {
		c.Grants = []string{oauth.GrantCode, oauth.GrantRefresh}
	}
	if c.TokenFormat == "" {
		c.TokenFormat = FormatOpaque
	}
	if c.IDTokenAlg == "" {
		c.IDTokenAlg = "ES256"
		if c.Profile == oauth.ProfileLegacy {
			c.IDTokenAlg = "RS256"
		}
	}
	for _, check := range []func(*store.Client, time.Time) error{checkNames, checkMethod, checkAddresses, checkGrants, checkWaivers, checkResources} {
		if err := check(c, now); err != nil {
			return nil, err
		}
	}
	return c, p.checkCertificates(c)
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrClient, fmt.Sprintf(format, args...))
}

func checkNames(c *store.Client, _ time.Time) error {
	switch {
	case !clientID.MatchString(c.ID) || c.ID == flow.LocalClient:
		return bad("the id must be 3 to 64 lower-case letters, digits and hyphens")
	case c.Name == "" || len(c.Name) > 200:
		return bad("the name must have 1 to 200 bytes")
	case identity.CheckID(identity.PrefixInstitution, string(c.Institution)) != nil:
		return bad("the institution is unknown")
	case c.Sector != string(c.Institution) && identity.CheckID(identity.PrefixInstitution, c.Sector) == nil:
		return bad("the sector is another institution's")
	case len(c.Sector) > 200:
		return bad("the sector is too long")
	case !signs(c, c.IDTokenAlg) || slices.ContainsFunc([]string{c.UserInfoAlg, c.ResponseAlg, c.IntrospectionAlg}, func(alg string) bool { return alg != "" && !signs(c, alg) }):
		return bad("what is signed is signed with ES256, PS256 or EdDSA, or with RS256 outside gov-fapi2")
	}
	for _, s := range c.Scopes {
		if !scopeRE.MatchString(s) {
			return bad("scope %q has characters that RFC 6749 does not allow", s)
		}
	}
	return nil
}

// signs reports whether the provider signs with alg for a client.
func signs(c *store.Client, alg string) bool {
	return slices.Contains(jwks.Algs(), alg) && (alg != "RS256" || c.Profile != oauth.ProfileFAPI2)
}

// checkMethod binds the way of authenticating to the profile.
func checkMethod(c *store.Client, _ time.Time) error {
	methods, known := map[string][]string{
		oauth.ProfileFAPI2:  {"private_key_jwt", client.MethodTLS, client.MethodSelfSigned},
		oauth.ProfileWeb:    {"private_key_jwt", "client_secret_basic", "client_secret_post", client.MethodTLS, client.MethodSelfSigned},
		oauth.ProfileNative: {"none"},
		oauth.ProfileSPA:    {"none"},
		oauth.ProfileLegacy: {"client_secret_basic", "client_secret_post", "private_key_jwt"},
	}[c.Profile]
	if !known {
		return bad("profile %q does not exist", c.Profile)
	}
	if c.AuthMethod == "" {
		c.AuthMethod = methods[0]
	}
	if !slices.Contains(methods, c.AuthMethod) {
		return bad("profile %s authenticates by %v", c.Profile, methods)
	}
	if err := checkKeySet(c, c.JWKS); err != nil {
		return err
	}
	if c.JWKSURI != "" && (c.AuthMethod == client.MethodSelfSigned || c.IDTokenEncryption != "" || c.UserInfoEncryption != "") {
		return bad("keys that are encrypted to, or that hold certificates, are handed over, not published")
	}
	if c.UserInfoEncryption != "" && c.UserInfoAlg == "" {
		return bad("answers of userinfo that are encrypted are signed first: name the algorithm")
	}
	if c.SignedRequests && c.JWKS == "" {
		return bad("a client without keys cannot sign its requests")
	}
	return nil
}

// checkKeySet tells whether keys are those that a client needs.
func checkKeySet(c *store.Client, set string) (err error) {
	switch {
	case c.AuthMethod == client.MethodSelfSigned:
		err = client.CheckCertificates(set)
	case c.AuthMethod == "private_key_jwt", c.AuthMethod == client.MethodTLS && set != "":
		err = client.CheckKeys(set)
	case set != "" && c.IDTokenEncryption == "" && c.UserInfoEncryption == "":
		return bad("keys were given to a client that does not use them")
	case set != "":
		err = client.CheckRecipients(set)
	}
	for _, encryption := range []string{c.IDTokenEncryption, c.UserInfoEncryption} {
		if err == nil && encryption != "" {
			err = jwks.CheckEncryption(set, encryption)
		}
	}
	if err != nil {
		return bad("%v", err)
	}
	return nil
}

func checkAddresses(c *store.Client, _ time.Time) error {
	if slices.Contains(c.Grants, oauth.GrantCode) && len(c.RedirectURIs) == 0 {
		return bad("a redirect URI is needed")
	}
	if len(c.RedirectURIs) > 20 || len(c.PostLogoutURIs) > 20 {
		return bad("at most 20 addresses of a kind")
	}
	for _, u := range append(slices.Clone(c.RedirectURIs), c.PostLogoutURIs...) {
		if e := oauth.CheckRedirectURI(c.Profile, u); e != nil {
			return bad("%s: %s", u, e.Description)
		}
	}
	if err := checkFrontchannel(c); err != nil || c.BackchannelURI == "" {
		return err
	}
	if e := oauth.CheckRedirectURI(oauth.ProfileWeb, c.BackchannelURI); e != nil {
		return bad("back-channel address: %s", e.Description)
	}
	if u, err := url.Parse(c.BackchannelURI); err != nil || u.RawQuery != "" {
		return bad("back-channel address has a query")
	}
	return nil
}

// checkFrontchannel: only old clients are told of a logout in the browser, at an
// address of the origin of one of their redirect URIs (Front-Channel Logout 1.0 §2).
func checkFrontchannel(c *store.Client) error {
	if c.FrontchannelURI == "" {
		if c.FrontchannelSID {
			return bad("there is no front-channel address to send sid to")
		}
		return nil
	}
	if c.Profile != oauth.ProfileLegacy {
		return bad("profile %s is told of logouts at a back-channel address; only legacy clients in the browser", c.Profile)
	}
	if e := oauth.CheckRedirectURI(oauth.ProfileWeb, c.FrontchannelURI); e != nil {
		return bad("front-channel address: %s", e.Description)
	}
	origin := func(raw string) string {
		u, err := url.Parse(raw)
		if err != nil {
			return ""
		}
		return u.Scheme + "://" + u.Host
	}
	if !slices.ContainsFunc(c.RedirectURIs, func(u string) bool { return origin(u) == origin(c.FrontchannelURI) }) {
		return bad("the front-channel address must have the scheme, host and port of a redirect URI")
	}
	return nil
}

func checkGrants(c *store.Client, _ time.Time) error {
	for _, g := range c.Grants {
		if !slices.Contains([]string{oauth.GrantCode, oauth.GrantRefresh, oauth.GrantClientCredentials, oauth.GrantDevice, oauth.GrantExchange}, g) {
			return bad("grant %q is not served", g)
		}
	}
	if slices.Contains(c.Grants, oauth.GrantDevice) && (c.Profile == oauth.ProfileFAPI2 || c.Profile == oauth.ProfileSPA) {
		return bad("profile %s has a browser and pushes or redirects: it may not use the device grant", c.Profile)
	}
	if exchanges := slices.Contains(c.Grants, oauth.GrantExchange); exchanges && c.Public() || exchanges != (len(c.Exchanges) > 0) {
		return bad("a confidential client exchanges tokens, with that grant and for services that are named")
	}
	if c.Public() && slices.Contains(c.Grants, oauth.GrantClientCredentials) {
		return bad("a public client has no credentials of its own")
	}
	return nil
}

// checkWaivers: only legacy clients, only known rules, only for a time.
func checkWaivers(c *store.Client, now time.Time) error {
	for rule, until := range c.Waivers {
		switch {
		case c.Profile != oauth.ProfileLegacy:
			return bad("only legacy clients may carry waivers")
		case rule != oauth.WaivePKCE:
			return bad("waiver %q does not exist", rule)
		case !until.After(now) || until.After(now.Add(maxWaiver)):
			return bad("a waiver must end within a year")
		}
	}
	return nil
}

// checkResources looks at what a client may ask tokens for, and is itself.
func checkResources(c *store.Client, _ time.Time) error {
	if c.TokenFormat != FormatOpaque && c.TokenFormat != FormatJWT {
		return bad("access tokens are %s or %s", FormatOpaque, FormatJWT)
	}
	if len(c.Resources) > 20 || len(c.Serves) > 20 || len(c.Exchanges) > 20 {
		return bad("at most 20 resources of a kind")
	}
	for _, u := range slices.Concat(c.Resources, c.Serves, c.Exchanges) {
		if e := oauth.CheckResource(u); e != nil {
			return bad("%s: %s", u, e.Description)
		}
	}
	for _, t := range c.DetailTypes {
		if !slices.Contains(oauth.DetailTypes(), t) {
			return bad("authorization details are of type %v", oauth.DetailTypes())
		}
	}
	if len(c.Serves) > 0 && c.Public() {
		return bad("a public client may not introspect, so that it serves no resource")
	}
	return nil
}

// ensureLocal registers the client that stands for Suti's own pages: it has no
// address and no grant, only a name for their logins to hang on.
func (p *Provider) ensureLocal(ctx context.Context) error {
	now := p.cfg.Now()
	return p.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := store.ClientByID(tx, flow.LocalClient)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return store.InsertLocal(tx, flow.LocalClient, now)
	})
}

// ErrUnknownSubject reports a subject that a client does not know.
var ErrUnknownSubject = errors.New("idp: unknown subject")

// PersonBySubject returns whom a client knows by a pairwise subject, or ErrUnknownSubject.
func (p *Provider) PersonBySubject(ctx context.Context, client, sub string) (identity.PersonID, error) {
	var person identity.PersonID
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		c, err := store.ClientByID(tx, client)
		if err != nil {
			return err
		}
		person, err = store.PersonBySubject(tx, c.Sector, sub)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrUnknownSubject
	}
	return person, err
}
