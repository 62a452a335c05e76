package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"oruro.gob.bo/suti/idp"
)

// Operations on the registry of client applications.
const (
	adminClientList    = "/v1/clients/list"
	adminClientShow    = "/v1/clients/show"
	adminClientAdd     = "/v1/clients/add"
	adminClientSecret  = "/v1/clients/rotate-secret"
	adminClientKeys    = "/v1/clients/set-keys"
	adminClientSet     = "/v1/clients/set"
	adminClientDisable = "/v1/clients/disable"
	adminClientEnable  = "/v1/clients/enable"
)

// clientView is a client; what is not set stays out.
type clientView struct {
	ID                 string               `json:"client_id"`
	Name               string               `json:"name"`
	Institution        string               `json:"institution"` // id; to add, also short name or name
	Sector             string               `json:"sector,omitempty"`
	Profile            string               `json:"profile"`
	AuthMethod         string               `json:"token_endpoint_auth_method,omitempty"`
	RedirectURIs       []string             `json:"redirect_uris"`
	PostLogoutURIs     []string             `json:"post_logout_redirect_uris,omitempty"`
	BackchannelURI     string               `json:"backchannel_logout_uri,omitempty"`
	Scopes             []string             `json:"scopes"`
	Grants             []string             `json:"grant_types,omitempty"`
	IDTokenAlg         string               `json:"id_token_signed_response_alg,omitempty"`
	DPoP               bool                 `json:"dpop_bound_access_tokens,omitempty"`
	AccessTokens       string               `json:"access_token_format,omitempty"`
	Resources          []string             `json:"resources,omitempty"`
	Serves             []string             `json:"serves,omitempty"`
	Exchanges          []string             `json:"exchanges,omitempty"`
	DetailTypes        []string             `json:"authorization_details_types,omitempty"`
	UserInfoAlg        string               `json:"userinfo_signed_response_alg,omitempty"`
	ResponseAlg        string               `json:"authorization_signed_response_alg,omitempty"`
	IntrospectionAlg   string               `json:"introspection_signed_response_alg,omitempty"`
	IDTokenEncryption  string               `json:"id_token_encryption,omitempty"`
	UserInfoEncryption string               `json:"userinfo_encryption,omitempty"`
	TLSSubject         string               `json:"tls_client_auth_subject,omitempty"`
	CertBound          bool                 `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	SignedRequests     bool                 `json:"require_signed_request_object,omitempty"`
	JWKS               json.RawMessage      `json:"jwks,omitempty"`
	JWKSURI            string               `json:"jwks_uri,omitempty"`
	FrontchannelURI    string               `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelSID    bool                 `json:"frontchannel_logout_session_required,omitempty"`
	Waivers            map[string]time.Time `json:"waivers,omitempty"`

	Created  time.Time    `json:"created,omitzero"`
	Disabled time.Time    `json:"disabled,omitzero"`
	Version  int64        `json:"version,omitempty"`
	Secrets  []secretView `json:"secrets,omitempty"`
	// Receipts say what became of notices that a session ended; of show alone.
	Receipts *receiptsView `json:"backchannel_logout_receipts,omitempty"`
	// Secret is told once, when it was drawn.
	Secret string `json:"client_secret,omitempty"`
}

// receiptsView counts a client's notices of 30 days and tells of the latest.
type receiptsView struct {
	Queued    int64        `json:"queued"`
	Delivered int64        `json:"delivered"`
	GivenUp   int64        `json:"given_up"`
	Latest    []noticeView `json:"latest"`
}

type noticeView struct {
	SID     string    `json:"sid"`
	Address string    `json:"address"`
	Queued  time.Time `json:"queued"`
	State   string    `json:"state"` // queued, delivered, given-up
	Done    time.Time `json:"done,omitzero"`
	Tries   int       `json:"tries"`
	Log     []tryView `json:"log,omitempty"` // the last ten, newest first
}

type tryView struct {
	At      time.Time `json:"at"`
	Outcome string    `json:"outcome"`
	Status  int       `json:"status,omitempty"`
}

// latestNotices is how many notices show tells of.
const latestNotices = 20

func receiptsOf(r idp.Receipts) *receiptsView {
	v := &receiptsView{Queued: r.Queued, Delivered: r.Delivered, GivenUp: r.GivenUp, Latest: []noticeView{}}
	for _, n := range r.Latest {
		o := noticeView{SID: n.SID, Address: n.Address, Queued: n.Queued, State: n.State, Done: n.Done, Tries: n.Tries}
		for _, t := range n.Log {
			o.Log = append(o.Log, tryView(t))
		}
		v.Latest = append(v.Latest, o)
	}
	return v
}

type secretView struct {
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// clientChange is what set changes; what is not there stays as it is.
type clientChange struct {
	ID              string                `json:"client_id"`
	Name            *string               `json:"name,omitempty"`
	RedirectURIs    *[]string             `json:"redirect_uris,omitempty"`
	PostLogoutURIs  *[]string             `json:"post_logout_redirect_uris,omitempty"`
	Scopes          *[]string             `json:"scopes,omitempty"`
	BackchannelURI  *string               `json:"backchannel_logout_uri,omitempty"`
	FrontchannelURI *string               `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelSID *bool                 `json:"frontchannel_logout_session_required,omitempty"`
	JWKS            json.RawMessage       `json:"jwks,omitempty"`
	JWKSURI         *string               `json:"jwks_uri,omitempty"`
	Waivers         *map[string]time.Time `json:"waivers,omitempty"`
}

type clientRequest struct {
	ID      string          `json:"client_id"`
	Overlap int64           `json:"overlap_seconds,omitempty"`
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	Reason  string          `json:"reason,omitempty"`
}

func (s *server) adminClients(mux *http.ServeMux) {
	handleAdmin(mux, adminClientList, func(ctx context.Context, _ nothing) ([]clientView, error) {
		list, err := s.app.IDP.Registry(ctx)
		out := make([]clientView, len(list))
		for i, r := range list {
			out[i] = clientOf(r)
		}
		return out, err
	})
	handleAdmin(mux, adminClientShow, func(ctx context.Context, in clientRequest) (clientView, error) { return s.showClient(ctx, in.ID) })
	handleAdmin(mux, adminClientAdd, s.addClient)
	handleAdmin(mux, adminClientSecret, func(ctx context.Context, in clientRequest) (clientView, error) {
		secret, err := s.app.IDP.RotateSecret(ctx, operator(ctx), in.ID, time.Duration(in.Overlap)*time.Second)
		if err != nil {
			return clientView{}, err
		}
		v, err := s.showClient(ctx, in.ID)
		v.Secret = secret
		return v, err
	})
	handleAdmin(mux, adminClientKeys, func(ctx context.Context, in clientRequest) (clientView, error) {
		if err := s.app.IDP.SetKeys(ctx, operator(ctx), in.ID, string(in.JWKS)); err != nil {
			return clientView{}, err
		}
		return s.showClient(ctx, in.ID)
	})
	handleAdmin(mux, adminClientSet, s.changeClient)
	handleAdmin(mux, adminClientDisable, func(ctx context.Context, in clientRequest) (clientView, error) {
		if err := s.app.IDP.DisableClient(ctx, operator(ctx), in.ID, in.Reason); err != nil {
			return clientView{}, err
		}
		return s.showClient(ctx, in.ID)
	})
	handleAdmin(mux, adminClientEnable, func(ctx context.Context, in clientRequest) (clientView, error) {
		if err := s.app.IDP.EnableClient(ctx, operator(ctx), in.ID); err != nil {
			return clientView{}, err
		}
		return s.showClient(ctx, in.ID)
	})
}

func clientOf(r idp.Registered) clientView {
	v := clientView{
		ID: r.ID, Name: r.Name, Institution: string(r.Institution), Sector: r.Sector, Profile: r.Profile, AuthMethod: r.AuthMethod, RedirectURIs: r.RedirectURIs,
		PostLogoutURIs: r.PostLogoutURIs, BackchannelURI: r.BackchannelURI, Scopes: r.Scopes, Grants: r.Grants, IDTokenAlg: r.IDTokenAlg, UserInfoAlg: r.UserInfoAlg, JWKS: json.RawMessage(r.JWKS),
		ResponseAlg: r.ResponseAlg, IntrospectionAlg: r.IntrospectionAlg, IDTokenEncryption: r.IDTokenEncryption, UserInfoEncryption: r.UserInfoEncryption, TLSSubject: r.TLSSubject, CertBound: r.CertBound, SignedRequests: r.SignedRequests, DPoP: r.DPoP, AccessTokens: r.AccessTokens, Resources: r.Resources, Serves: r.Serves, Exchanges: r.Exchanges, DetailTypes: r.DetailTypes, Waivers: r.Waivers, JWKSURI: r.JWKSURI, FrontchannelURI: r.FrontchannelURI, FrontchannelSID: r.FrontchannelSID, Created: r.Created, Disabled: r.Disabled, Version: r.Version,
	}
	for _, x := range r.Secrets {
		v.Secrets = append(v.Secrets, secretView(x))
	}
	return v
}

func (s *server) showClient(ctx context.Context, id string) (clientView, error) {
	r, err := s.app.IDP.RegisteredClient(ctx, id)
	if err != nil {
		return clientView{}, err
	}
	v := clientOf(r)
	if r.BackchannelURI == "" {
		return v, nil
	}
	receipts, err := s.app.IDP.Receipts(ctx, id, latestNotices)
	v.Receipts = receiptsOf(receipts)
	return v, err
}

// addClient registers a client of an institution that exists.
func (s *server) addClient(ctx context.Context, in clientView) (clientView, error) {
	ins, err := s.institution(ctx, in.Institution)
	if err != nil {
		return clientView{}, err
	}
	secret, err := s.app.IDP.Register(ctx, operator(ctx), idp.Client{
		ID: in.ID, Institution: ins.ID, Sector: in.Sector, Profile: in.Profile, Name: in.Name, AuthMethod: in.AuthMethod, JWKS: string(in.JWKS),
		RedirectURIs: in.RedirectURIs, PostLogoutURIs: in.PostLogoutURIs, Scopes: in.Scopes, Grants: in.Grants, IDTokenAlg: in.IDTokenAlg, UserInfoAlg: in.UserInfoAlg,
		ResponseAlg: in.ResponseAlg, IntrospectionAlg: in.IntrospectionAlg, IDTokenEncryption: in.IDTokenEncryption, UserInfoEncryption: in.UserInfoEncryption, TLSSubject: in.TLSSubject, CertBound: in.CertBound, SignedRequests: in.SignedRequests, BackchannelURI: in.BackchannelURI, DPoP: in.DPoP, AccessTokens: in.AccessTokens, Resources: in.Resources, Serves: in.Serves, Exchanges: in.Exchanges, DetailTypes: in.DetailTypes, Waivers: in.Waivers,
		JWKSURI: in.JWKSURI, FrontchannelURI: in.FrontchannelURI, FrontchannelSID: in.FrontchannelSID,
	})
	if err != nil {
		return clientView{}, err
	}
	v, err := s.showClient(ctx, in.ID)
	v.Secret = secret
	return v, err
}

// changeClient changes what may change after registration.
func (s *server) changeClient(ctx context.Context, in clientChange) (clientView, error) {
	ch := idp.ClientChange{
		Name: in.Name, RedirectURIs: in.RedirectURIs, PostLogoutURIs: in.PostLogoutURIs, Scopes: in.Scopes, BackchannelURI: in.BackchannelURI,
		FrontchannelURI: in.FrontchannelURI, FrontchannelSID: in.FrontchannelSID, JWKSURI: in.JWKSURI, Waivers: in.Waivers,
	}
	if len(in.JWKS) > 0 {
		set := string(in.JWKS)
		ch.JWKS = &set
	}
	if err := s.app.IDP.ChangeClient(ctx, operator(ctx), in.ID, ch); err != nil {
		return clientView{}, err
	}
	return s.showClient(ctx, in.ID)
}
