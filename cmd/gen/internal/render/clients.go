package render

import (
	"cuelang.org/go/cue/token"

	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// clients are what a host's Authentik knows of the services to which people log
// in through it: a blueprint. It applies one whose file is another than it
// applied last, when its worker starts and once an hour. It watches for files
// that are written, not for one that is renamed into place, so it restarts.
func clients(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for _, s := range h.Services {
		all := f.Clients(h, s)
		for _, c := range s.V.Containers {
			for _, d := range c.V.Derived {
				if d.V.V != "clients" || len(all) == 0 {
					continue
				}
				b := blueprint(f, all, d.Pos)
				files = append(files, &tree.File{Path: FilePath(s.Name, c.Name, d.Name+"/gen.yaml"), Mode: "0644", Owner: "0:0",
					Body: b.YAML(madeBy("login: of all services")), Doc: b, On: "restart", Pos: d.Pos})
			}
		}
	}
	return files
}

// clientSecret is where Authentik's container has the secret of a client.
func clientSecret(l *fleet.Login) string { return "/run/secrets/clients/" + l.Client.V }

// blueprint makes the clients, in one file with all that they refer to: Authentik
// applies files in any order and several at once, and what another one makes may
// not be there yet. The payload of each secret is in it so that a new value makes
// another file, for Authentik applies none twice.
func blueprint(f *fleet.Fleet, all []fleet.Client, pos token.Pos) *doc.Node {
	payloads, entries := doc.Obj(), items(common(pos)...)
	for _, c := range all {
		payloads.Set(c.Login.Client.V, doc.Str(f.Ciphertexts[c.Host.SecretName(c.Service.Name, c.Login.Secret.V)].Payload, c.Login.Secret.Pos))
		entries.Items = append(entries.Items, client(c)...)
	}
	return doc.Obj("version", &doc.Node{Kind: doc.Number, Scalar: "1", Pos: pos},
		"metadata", doc.Obj("name", doc.Str("gen", pos), "labels", payloads),
		"entries", entries)
}

// scopes are what a client is told of somebody, by Authentik's expressions: as
// Authentik's own, with the groups above somebody's groups.
var scopes = []struct{ name, expression string }{
	{"openid", "return {}\n"},
	{"email", `return {"email": request.user.email, "email_verified": False}` + "\n"},
	{"profile", `return {
    "name": request.user.name,
    "given_name": request.user.name,
    "preferred_username": request.user.username,
    "nickname": request.user.username,
    "groups": [group.name for group in request.user.all_groups()],
}
`},
}

// The flows that people pass, which ask them nothing unless somebody adds a stage by hand.
const authorization, invalidation = "gen-authorization", "gen-invalidation"

// common is what all clients refer to.
func common(pos token.Pos) []*doc.Node {
	str := func(s string) *doc.Node { return doc.Str(s, pos) }
	flow := func(slug, designation, title, authentication string) *doc.Node {
		return doc.Obj("model", str("authentik_flows.flow"), "state", str("created"),
			"identifiers", doc.Obj("slug", str(slug)),
			"attrs", doc.Obj("name", str("gen: "+designation), "title", str(title), "designation", str(designation), "authentication", str(authentication)))
	}
	entries := []*doc.Node{
		flow(authorization, "authorization", "Redirecting to %(app)s", "require_authenticated"),
		flow(invalidation, "invalidation", "You have logged out of %(app)s", "none"),
	}
	for _, s := range scopes {
		entries = append(entries, doc.Obj("model", str("authentik_providers_oauth2.scopemapping"),
			"identifiers", doc.Obj("name", str(scopeName(s.name))),
			"attrs", doc.Obj("scope_name", str(s.name), "expression", str(s.expression))))
	}
	return entries
}

func scopeName(scope string) string { return "gen: " + scope }

// client is a client's provider, and the application that people see.
func client(c fleet.Client) []*doc.Node {
	l := c.Login
	str := func(s string) *doc.Node { return doc.Str(s, l.Client.Pos) }
	find := func(model, field, value string) *doc.Node {
		return items(str("authentik_"+model), doc.Strs(field, value)).Tagged("!Find")
	}
	told := items()
	for _, s := range scopes {
		told.Items = append(told.Items, find("providers_oauth2.scopemapping", "name", scopeName(s.name)))
	}
	return []*doc.Node{
		doc.Obj("model", str("authentik_providers_oauth2.oauth2provider"), "id", str(l.Client.V),
			"identifiers", doc.Obj("client_id", str(l.Client.V)),
			"attrs", doc.Obj(
				"name", str(l.Client.V),
				"client_type", str("confidential"),
				"client_secret", doc.Str(clientSecret(l), l.Secret.Pos).Tagged("!File"),
				"grant_types", doc.Strs("authorization_code"), // since 2026.5 none is allowed by default
				"redirect_uris", items(doc.Obj("matching_mode", str("strict"), "url", doc.Str(l.Redirect.V, l.Redirect.Pos))),
				"authorization_flow", find("flows.flow", "slug", authorization),
				"invalidation_flow", find("flows.flow", "slug", invalidation),
				"signing_key", find("crypto.certificatekeypair", "name", "authentik Self-signed Certificate"), // it makes that before it reads any blueprint
				"property_mappings", told)),
		doc.Obj("model", str("authentik_core.application"),
			"identifiers", doc.Obj("slug", str(l.Client.V)),
			"attrs", doc.Obj("name", doc.Str(titled(c.Service.V), c.Service.V.Title.Pos), "provider", str(l.Client.V).Tagged("!KeyOf"))),
	}
}
