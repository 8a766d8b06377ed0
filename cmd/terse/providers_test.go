package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/terse/terse/access"
	"github.com/terse/terse/access/oidc"
	"github.com/terse/terse/api"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/cdn"
)

func TestProvidersAreRead(t *testing.T) {
	t.Parallel()
	read := func(providers, roles string) (got []oidc.Options, problems []string) {
		flags := providerFlags{OIDC: providers, OIDCRoles: roles}
		got = flags.read(func(name string, err error) {
			for _, problem := range variableErrors(name, err) {
				problems = append(problems, problem.Error())
			}
		})
		return got, problems
	}
	got, problems := read("corp https://login.example/tenant id 9f86d081884c\n local http://127.0.0.1:9 web s3cr3t;", "corp/Domain Admins=marketing:manager, corp/a/b=c=sales:viewer, local/*=default:editor")
	want := []oidc.Options{
		{Name: "corp", Issuer: "https://login.example/tenant", ClientID: "id", ClientSecret: "9f86d081884c", Grants: []access.Grant{{Group: "Domain Admins", Workspace: "marketing", Role: store.RoleManager}, {Group: "a/b=c", Workspace: "sales", Role: store.RoleViewer}}},
		{Name: "local", Issuer: "http://127.0.0.1:9", ClientID: "web", ClientSecret: "s3cr3t", Grants: []access.Grant{{Group: access.AllPeople, Workspace: "default", Role: store.RoleEditor}}},
	}
	if len(problems) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("read() = %+v, %q, want %+v", got, problems, want)
	}
	for name, tt := range map[string]struct{ providers, roles, want string }{
		"fields":         {"corp https://login.example id", "", "NAME ISSUER CLIENT_ID CLIENT_SECRET"},
		"no provider":    {";", "", "names no provider"},
		"name":           {"Corp https://login.example id 9f86d081884c", "", "a name of up to 32"},
		"same name":      {"a https://a.example id 9f86d081884c;a https://b.example id 9f86d081884c", "", "named a too"},
		"same issuer":    {"a https://a.example id 9f86d081884c;b https://a.example id 9f86d081884c", "", "same issuer"},
		"plain http":     {"a http://a.example id 9f86d081884c", "", "https://"},
		"no URL":         {"a login id 9f86d081884c", "", "must be a URL"},
		"query":          {"a https://a.example/?x=1 id 9f86d081884c", "", "without a query"},
		"form of roles":  {"a https://a.example id 9f86d081884c", "a/sales", "PROVIDER/GROUP=WORKSPACE:ROLE"},
		"no group":       {"a https://a.example id 9f86d081884c", "a/=sales:viewer", "PROVIDER/GROUP=WORKSPACE:ROLE"},
		"other provider": {"a https://a.example id 9f86d081884c", "b/x=sales:viewer", `no provider "b"`},
		"workspace":      {"a https://a.example id 9f86d081884c", "a/x=no space:viewer", "the workspace"},
		"role":           {"a https://a.example id 9f86d081884c", "a/x=sales:owner", "the role must be one of"},
	} {
		_, problems := read(tt.providers, tt.roles)
		if len(problems) != 1 || !strings.Contains(problems[0], tt.want) || strings.Contains(problems[0], "9f86") {
			t.Errorf("%s: problems = %q, want one with %q and without the secret", name, problems, tt.want)
		}
	}
}

func TestProxySignInIsRead(t *testing.T) {
	t.Parallel()
	flags := serveFlags{TrustedProxies: "192.0.2.1", providerFlags: providerFlags{ProxySignIn: "Remote-User"}}
	if s, _ := flags.read(); s.proxySignIn.User != "Remote-User" {
		t.Errorf("the settings have %+v, want the header Remote-User", s.proxySignIn)
	}
	flags.CDN = cdn.Varnish
	if _, problems := flags.read(); !strings.Contains(errors.Join(problems...).Error(), "PROXY_SIGN_IN: must not be set with TERSE_CDN") {
		t.Errorf("with a CDN: problems = %v", problems)
	}
	read := func(headers, roles string, trusted bool) (got api.ProxySignIn, problems []string) {
		flags := providerFlags{ProxySignIn: headers, ProxySignInRoles: roles}
		got = flags.readProxy(trusted, func(name string, err error) {
			for _, problem := range variableErrors(name, err) {
				problems = append(problems, problem.Error())
			}
		})
		return got, problems
	}
	got, problems := read(" remote-user  X-GROUPS", "Domain Admins=marketing:manager, *=default:viewer\n", true)
	want := api.ProxySignIn{User: "Remote-User", Groups: "X-Groups", Grants: []access.Grant{
		{Group: "Domain Admins", Workspace: "marketing", Role: store.RoleManager}, {Group: "*", Workspace: "default", Role: store.RoleViewer},
	}}
	if len(problems) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("readProxy() = %+v, %q, want %+v", got, problems, want)
	}
	for _, trusted := range []bool{true, false} {
		if got, problems := read("", "", trusted); len(problems) > 0 || !reflect.DeepEqual(got, api.ProxySignIn{}) {
			t.Errorf("readProxy() of nothing = %+v, %q", got, problems)
		}
	}
	for name, tt := range map[string]struct {
		headers, roles string
		trusted        bool
		want           string
	}{
		"no trusted proxies":      {"Remote-User", "*=default:viewer", false, "PROXY_SIGN_IN: requires TERSE_TRUSTED_PROXIES"},
		"no header":               {"Remote:User", "", true, "must be the name of a header"},
		"no header of groups":     {"Remote-User Remote/Groups", "", true, "must be the name of a header"},
		"three headers":           {"A B C", "", true, "one header, or two"},
		"the same header":         {"Remote-User remote-user", "", true, "two different headers"},
		"roles without a header":  {"", "*=default:viewer", true, "PROXY_SIGN_IN_ROLES: requires TERSE_PROXY_SIGN_IN"},
		"groups without a header": {"Remote-User", "Sales=default:viewer", true, "requires a second header"},
		"form of roles":           {"A B", "Sales", true, "GROUP=WORKSPACE:ROLE"},
		"workspace":               {"A B", "Sales=no space:viewer", true, "the workspace"},
		"role":                    {"A B", "Sales=default:owner", true, "the role must be one of"},
	} {
		if _, problems := read(tt.headers, tt.roles, tt.trusted); len(problems) != 1 || !strings.Contains(problems[0], tt.want) {
			t.Errorf("%s: problems = %q, want one with %q", name, problems, tt.want)
		}
	}
}
