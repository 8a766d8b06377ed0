package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/terse/terse/api"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/store/cache/cdn"
)

// noCDN is the value of TERSE_CDN without a CDN.
const noCDN = "none"

// readCDN returns the settings of the CDN. The Provider is empty without a CDN. A setting
// of another CDN is an error, because it would have no effect.
func (f *serveFlags) readCDN(try func(name string, err error)) cdn.Options {
	o := cdn.Options{
		Provider: f.CDN, VarnishURLs: splitList(f.VarnishURLs), VarnishSecret: f.VarnishSecret,
		FastlyService: f.FastlyServiceID, FastlyToken: f.FastlyToken,
		CloudflareZone: f.CloudflareZoneID, CloudflareToken: f.CloudflareToken,
	}
	switch f.CDN {
	case noCDN:
		o.Provider = ""
	case cdn.Varnish, cdn.Fastly, cdn.Cloudflare:
	default:
		try("CDN", fmt.Errorf("%q must be none, varnish, fastly or cloudflare", f.CDN))
		return o
	}
	if f.CDNRate != "" {
		limit, err := ratelimit.ParseLimit(f.CDNRate)
		if err == nil && limit.Count == 0 {
			err = errors.New("must be a rate such as 30/30s, not off")
		}
		try("CDN_RATE", err)
		if err == nil {
			o.Rate, o.Burst = float64(limit.Count)/limit.Window.Seconds(), limit.Count
		}
	}
	for _, s := range []struct {
		name, of, value string
		needed, secret  bool
	}{
		{"VARNISH_URLS", cdn.Varnish, f.VarnishURLs, true, false},
		{"VARNISH_SECRET", cdn.Varnish, f.VarnishSecret, true, true},
		{"FASTLY_SERVICE_ID", cdn.Fastly, f.FastlyServiceID, true, false},
		{"FASTLY_TOKEN", cdn.Fastly, f.FastlyToken, true, true},
		{"CLOUDFLARE_ZONE_ID", cdn.Cloudflare, f.CloudflareZoneID, true, false},
		{"CLOUDFLARE_TOKEN", cdn.Cloudflare, f.CloudflareToken, true, true},
	} {
		switch {
		case s.of == f.CDN && s.needed && s.value == "":
			try(s.name, fmt.Errorf("is required with %sCDN=%s, to purge links after edits", envPrefix, f.CDN))
		case s.of != f.CDN && s.value != "":
			try(s.name, fmt.Errorf("is only for %sCDN=%s", envPrefix, s.of))
		case s.secret && s.value != "":
			try(s.name, checkSecret(s.value))
		}
	}
	for _, url := range o.VarnishURLs {
		if err := cdn.CheckURL(url); err != nil {
			try("VARNISH_URLS", err)
		}
	}
	return o
}

// forCDN wraps h so that its responses carry the headers that the CDN needs.
func (s *serveSettings) forCDN(h http.Handler) http.Handler {
	if s.cdn.Provider == cdn.Fastly {
		return api.ForFastly(h)
	}
	return h
}
