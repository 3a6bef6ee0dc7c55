package render

import (
	"gen.example/cmd/gen/internal/doc"
	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// clients are what a host's Authentik knows of the services to which people log
// in through it: a blueprint each. It applies those whose files are others than
// it applied last, when its worker starts and once an hour. It watches for files
// that are written, not for one that is renamed into place, so it restarts.
func clients(f *fleet.Fleet, h *fleet.Host) (files []*tree.File) {
	for _, s := range h.Services {
		all := f.Clients(h, s)
		for _, c := range s.V.Containers {
			for _, d := range c.V.Derived {
				if d.V.V != "clients" {
					continue
				}
				for _, client := range all {
					b := blueprint(client, f.Ciphertexts[client.Host.SecretName(client.Service.Name, client.Login.Secret.V)].Payload)
					files = append(files, &tree.File{Path: FilePath(s.Name, c.Name, d.Name+"/"+client.Login.Client.V+".yaml"), Mode: "0644", Owner: "0:0",
						Body: b.YAML(madeBy("services." + client.Service.Name + ".login on " + client.Host.Name.V)), Doc: b, On: "restart", Pos: d.Pos})
				}
			}
		}
	}
	return files
}

// clientSecret is where Authentik's container has the secret of a client.
func clientSecret(l *fleet.Login) string { return "/run/secrets/clients/" + l.Client.V }

// Authentik's own blueprints that make what a client's refers to.
var clientNeeds = []string{
	"Default - Provider authorization flow (implicit consent)",
	"Default - Provider invalidation flow",
	"System - OAuth2 Provider - Scopes",
}

// blueprint makes a client: its provider, and the application that people see.
// The payload of its secret is in it so that a new value makes another file,
// for Authentik applies none twice.
func blueprint(c fleet.Client, payload string) *doc.Node {
	l := c.Login
	str := func(s string) *doc.Node { return doc.Str(s, l.Client.Pos) }
	find := func(model, field, value string) *doc.Node {
		return items(str("authentik_"+model), doc.Strs(field, value)).Tagged("!Find")
	}
	scope := func(name string) *doc.Node {
		return find("providers_oauth2.scopemapping", "managed", "goauthentik.io/providers/oauth2/scope-"+name)
	}
	entries := items()
	for _, name := range clientNeeds {
		entries.Items = append(entries.Items, doc.Obj("model", str("authentik_blueprints.metaapplyblueprint"),
			"attrs", doc.Obj("identifiers", doc.Obj("name", str(name)), "required", &doc.Node{Kind: doc.Bool, Scalar: "false", Pos: l.Client.Pos})))
	}
	entries.Items = append(entries.Items,
		doc.Obj("model", str("authentik_providers_oauth2.oauth2provider"), "id", str("provider"),
			"identifiers", doc.Obj("client_id", doc.Str(l.Client.V, l.Client.Pos)),
			"attrs", doc.Obj(
				"name", str(l.Client.V),
				"client_type", str("confidential"),
				"client_secret", doc.Str(clientSecret(l), l.Secret.Pos).Tagged("!File"),
				"grant_types", doc.Strs("authorization_code"), // since 2026.5 none is allowed by default
				"redirect_uris", items(doc.Obj("matching_mode", str("strict"), "url", doc.Str(l.Redirect.V, l.Redirect.Pos))),
				"authorization_flow", find("flows.flow", "slug", "default-provider-authorization-implicit-consent"),
				"invalidation_flow", find("flows.flow", "slug", "default-provider-invalidation-flow"),
				"signing_key", find("crypto.certificatekeypair", "name", "authentik Self-signed Certificate"),
				"property_mappings", items(scope("openid"), scope("email"), scope("profile")))),
		doc.Obj("model", str("authentik_core.application"),
			"identifiers", doc.Obj("slug", str(l.Client.V)),
			"attrs", doc.Obj("name", doc.Str(titled(c.Service.V), c.Service.V.Title.Pos), "provider", str("provider").Tagged("!KeyOf"))))
	return doc.Obj("version", &doc.Node{Kind: doc.Number, Scalar: "1", Pos: l.Client.Pos},
		"metadata", doc.Obj("name", str("gen - "+l.Client.V), "labels", doc.Obj("secret", str(payload))),
		"entries", entries)
}
