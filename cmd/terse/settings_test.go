package main

import (
	"log/slog"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/abuse/webrisk"
	"github.com/terse/terse/access"
	"github.com/terse/terse/access/oidc"
	"github.com/terse/terse/api"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/domains/certificates"
	"github.com/terse/terse/store"
	"github.com/terse/terse/store/cache/cdn"
)

// TestSettingsAreRead checks that every flag of the server reaches the settings. Each has
// a value of its own, so that no two can be mixed up.
func TestSettingsAreRead(t *testing.T) {
	t.Parallel()
	flags := serveFlags{
		dataFlags:      dataFlags{DataDir: "/data", Shards: "s1 postgres://a/x"},
		operationFlags: operationFlags{DrainDelay: "1s", DrainTimeout: "9s", AccessLogSample: "0.25", OTLPEndpoint: "http://c:4318", MaxConnections: "77"},
		Listen:         ":1", AdminListen: "Admin.:2", AdminHosts: "Node1, node2.", BaseURL: "https://sho.rt", AppURL: "https://console.sho.rt", CodeKey: "aSC7FmA0I5+1teXYpwy1758w8yPDIjOUQKEAJRrNWUA=", NodeID: "5", ReplicaMaxAge: "6s",
		AnonymousCreate: "true", TrustedProxies: "10.0.0.0/8", ProxyProtocol: "true", CORSOrigins: "https://app.example", SecurityContact: "mailto:a@b.example, tel:+1",
		SiteName: " Acme & Co ", Contact: "help@acme.example", ReservedAliases: "jobs, Press", AnonymousLife: "720h", LimitCreateAnonymous: "1/1s", LimitCreateTotal: "7/7s", LimitCreateKey: "2/2s", LimitUnknown: "3/3s", LimitPassword: "4/4s",
		httpsFlags:    httpsFlags{HTTPS: "on", HTTPListen: ":3", ACMEURL: "https://ca.example/dir", ACMEEmail: "ops@acme.example", ACMEEABKeyID: "kid", ACMEEABKey: "a2V5", ACMEHTTPPort: "8"},
		abuseFlags:    abuseFlags{LimitReport: "5/5s", WebriskKey: "9f86d081884c", WebriskRate: "6/2s", WebriskURL: "http://risk", ScanInterval: "8s"},
		clickFlags:    clickFlags{countFlags: countFlags{"logs", "true", "192.0.2.0/24, 2001:db8::/32", "../../clicks/country/testdata/GeoLite2-Country-Test.mmdb"}, ClicksSpool: "/spool", ClicksSpoolSize: "16", ClicksKeepDays: "15", CountryHeader: "cf-ipcountry"},
		domainFlags:   domainFlags{DomainsPerKey: "14", DomainsNetworks: "10.0.0.0/8, fd00::/8", DNSServer: "192.0.2.53:53"},
		providerFlags: providerFlags{OIDC: "corp https://login.example id 9f86d081884b", OIDCRoles: "corp/Sales=marketing:editor"},
		RedisURL:      "redis://r", CDN: cdn.Varnish, VarnishURLs: "http://v", VarnishSecret: "9f86d081884d", CDNRate: "10/4s",
		BatchSize: "12", CacheSize: "13", LogLevel: "warn", LogFormat: "json",
	}
	proxies, err := ratelimit.ParseProxies([]string{"10.0.0.0/8"})
	must(t, err)
	codeKey, err := parseCodeKey(flags.CodeKey)
	must(t, err)
	want := serveSettings{
		dataDir: "/data", shards: []shardSettings{{"s1", "postgres://a/x", []string{}}}, batchSize: 12,
		listen: ":1", admin: "Admin.:2", adminHosts: []string{"node1", "node2", "admin"}, baseURL: "https://sho.rt", appURL: "https://console.sho.rt", codeKey: codeKey, nodeID: 5, replicaMaxAge: 6 * time.Second,
		anonymousCreate: true, anonymousLife: 720 * time.Hour, proxies: proxies, proxyProtocol: true, corsOrigins: []string{"https://app.example"}, contacts: []string{"mailto:a@b.example", "tel:+1"},
		siteName: "Acme & Co", contact: "mailto:help@acme.example", reserved: []string{"jobs", "Press"},
		limits: api.Limits{
			CreateAnonymous: ratelimit.Limit{Count: 1, Window: time.Second}, CreateTotal: ratelimit.Limit{Count: 7, Window: 7 * time.Second}, CreateKey: ratelimit.Limit{Count: 2, Window: 2 * time.Second},
			Unknown: ratelimit.Limit{Count: 3, Window: 3 * time.Second}, Password: ratelimit.Limit{Count: 4, Window: 4 * time.Second},
			Report: ratelimit.Limit{Count: 5, Window: 5 * time.Second},
		},
		https: httpsSettings{
			on: true, httpListen: ":3",
			acme: certificates.Options{Directory: "https://ca.example/dir", Email: "ops@acme.example", EABKeyID: "kid", EABKey: "a2V5", HTTPPort: 8},
		},
		abuse: abuseSettings{
			webrisk: webrisk.Options{Key: "9f86d081884c", API: "http://risk", Rate: 3}, scanInterval: 8 * time.Second,
		},
		clicks: clickSettings{
			spool: "/spool", spoolBytes: 16 << 20, fromLogs: true,
			visitors: true, exclude: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
			keepDays: 15, countryHeader: "Cf-Ipcountry", countryFile: "../../clicks/country/testdata/GeoLite2-Country-Test.mmdb",
		},
		domains: domainSettings{
			perKey: 14, networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}, dnsServer: "192.0.2.53:53",
		},
		providers: []oidc.Options{{
			Name: "corp", Issuer: "https://login.example", ClientID: "id", ClientSecret: "9f86d081884b", Grants: []access.Grant{{Group: "Sales", Workspace: "marketing", Role: store.RoleEditor}},
		}},
		redisURL:   "redis://r",
		cdn:        cdn.Options{Provider: cdn.Varnish, VarnishURLs: []string{"http://v"}, VarnishSecret: "9f86d081884d", Rate: 2.5, Burst: 10},
		cacheBytes: 13 << 20,
		operation: operationSettings{
			drain: drainSettings{delay: time.Second, timeout: 9 * time.Second}, maxConnections: 77, accessLogSample: 0.25,
			otlpEndpoint: &url.URL{Scheme: "http", Host: "c:4318"},
		},
		logLevel: slog.LevelWarn, logJSON: true,
	}
	got, problems := flags.read()
	if len(problems) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("read() = %+v, %v, want %+v", got, problems, want)
	}

	https := httpsSettings{on: true}
	for name, tt := range map[string]struct {
		app, base string
		secure    httpsSettings
		want      string
	}{
		"none":                     {"", "", https, ""},
		"another host":             {"https://console.sho.rt", "https://sho.rt", https, ""},
		"another port behind":      {"https://console.sho.rt:8443", "https://sho.rt", httpsSettings{}, ""},
		"another port with HTTPS":  {"https://console.sho.rt:8443", "https://sho.rt", https, "the same port"},
		"an address with ACME":     {"https://192.0.2.1", "https://sho.rt", https, "must have a host name"},
		"no base URL":              {"https://console.sho.rt", "", https, "requires TERSE_BASE_URL"},
		"the same host":            {"https://sho.rt:8443", "https://sho.rt", httpsSettings{}, "another host"},
		"no https":                 {"http://console.sho.rt", "https://sho.rt", httpsSettings{}, "must begin with https://"},
		"a path":                   {"https://console.sho.rt/app", "https://sho.rt", httpsSettings{}, "path"},
		"a path and no valid base": {"https://console.sho.rt/app", "sho.rt", httpsSettings{}, "path"},
	} {
		err := checkAppURL(tt.app, tt.base, tt.secure)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: checkAppURL = %v, want %q", name, err, tt.want)
		}
	}

	none := []string{}
	for _, tt := range []struct {
		provider string
		flags    serveFlags
		want     cdn.Options
	}{
		{noCDN, serveFlags{}, cdn.Options{VarnishURLs: none}},
		{cdn.Fastly, serveFlags{FastlyServiceID: "s", FastlyToken: "9f86d081884e"}, cdn.Options{Provider: cdn.Fastly, VarnishURLs: none, FastlyService: "s", FastlyToken: "9f86d081884e"}},
		{cdn.Cloudflare, serveFlags{CloudflareZoneID: "z", CloudflareToken: "9f86d081884f"}, cdn.Options{Provider: cdn.Cloudflare, VarnishURLs: none, CloudflareZone: "z", CloudflareToken: "9f86d081884f"}},
	} {
		tt.flags.CDN = tt.provider
		got := tt.flags.readCDN(func(name string, err error) { must(t, err) })
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("readCDN() of %s = %+v, want %+v", tt.provider, got, tt.want)
		}
	}
}
