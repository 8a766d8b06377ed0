package cdn

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// varnish sends PURGE requests, which deploy/varnish/terse.vcl handles. Every server has
// to acknowledge.
type varnish struct {
	urls   []string
	secret string
}

func newVarnish(o *Options) varnish {
	v := varnish{secret: o.VarnishSecret}
	for _, u := range o.VarnishURLs {
		v.urls = append(v.urls, strings.TrimSuffix(u, "/")+"/")
	}
	return v
}

func (v varnish) requests(ctx context.Context, tags []string) ([]*http.Request, error) {
	all := make([]*http.Request, 0, len(v.urls))
	for _, u := range v.urls {
		r, err := http.NewRequestWithContext(ctx, "PURGE", u, http.NoBody)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Xkey-Purge", strings.Join(tags, " "))
		if v.secret != "" {
			r.Header.Set("X-Purge-Secret", v.secret)
		}
		all = append(all, r)
	}
	return all, nil
}

func (varnish) refusal(status int, _ []byte) error { return statusRefusal(status) }

// fastly purges surrogate keys in batches:
// https://www.fastly.com/documentation/reference/api/purging/
type fastly struct{ url, token string }

func newFastly(o *Options) fastly {
	api := cmp.Or(o.API, "https://api.fastly.com")
	return fastly{url: api + "/service/" + url.PathEscape(o.FastlyService) + "/purge", token: o.FastlyToken}
}

func (f fastly) requests(ctx context.Context, tags []string) ([]*http.Request, error) {
	return post(ctx, f.url, map[string][]string{"surrogate_keys": tags}, "Fastly-Key", f.token)
}

func (fastly) refusal(status int, _ []byte) error { return statusRefusal(status) }

// cloudflare purges cache tags:
// https://developers.cloudflare.com/cache/how-to/purge-cache/purge-by-tags/
type cloudflare struct{ url, token string }

func newCloudflare(o *Options) cloudflare {
	api := cmp.Or(o.API, "https://api.cloudflare.com/client/v4")
	return cloudflare{url: api + "/zones/" + url.PathEscape(o.CloudflareZone) + "/purge_cache", token: o.CloudflareToken}
}

func (c cloudflare) requests(ctx context.Context, tags []string) ([]*http.Request, error) {
	return post(ctx, c.url, map[string][]string{"tags": tags}, "Authorization", "Bearer "+c.token)
}

// refusal also checks the field success in the body, because the status is not enough.
func (cloudflare) refusal(status int, body []byte) error {
	if err := statusRefusal(status); err != nil {
		return err
	}
	var answer struct {
		Success bool
		Errors  []struct {
			Code int
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return errors.New("answered with invalid JSON")
	}
	if !answer.Success {
		return fmt.Errorf("answered without success, errors %v", answer.Errors)
	}
	return nil
}

// post returns a request with a JSON body and the secret in a header.
func post(ctx context.Context, target string, body any, header, secret string) ([]*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set(header, secret)
	return []*http.Request{r}, nil
}
