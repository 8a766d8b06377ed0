package remote

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

const (
	defaultPort  = "6379"
	sentinelPort = "26379"
)

// CheckURL returns what is wrong with the URL of a Redis. These are understood, and
// with an s behind the first word of the scheme they use TLS:
//
//	redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
//	redis-sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/MASTER[/DB]
//	redis-cluster://[[USER]:PASSWORD@]HOST[:PORT],…
//
// The empty text stands for none, and is right. Errors do not repeat the URL, which
// may hold a password.
func CheckURL(text string) error {
	if text == "" {
		return nil
	}
	_, err := parseURL(text)
	return err
}

// Password returns the password of a URL that CheckURL takes; it is empty when there is
// none.
func Password(text string) string {
	o, err := parseURL(text)
	if err != nil {
		return ""
	}
	return o.Password
}

func parseURL(text string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	kind, secure := schemes(scheme)
	if !ok || kind == "" {
		return nil, errors.New("must begin with redis://, rediss://, redis-sentinel://, rediss-sentinel://, redis-cluster:// or rediss-cluster://")
	}
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i], authority[i+1:]
	}
	o := &redis.UniversalOptions{}
	if err := errors.Join(readUser(o, user), readHosts(o, hosts, kind), readPath(o, path, kind)); err != nil {
		return nil, err
	}
	if secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if len(o.Addrs) == 1 {
			o.TLSConfig.ServerName, _, _ = net.SplitHostPort(o.Addrs[0])
		}
	}
	return o, nil
}

// schemes tells what a scheme stands for; an empty kind is nothing.
func schemes(scheme string) (kind string, secure bool) {
	first, kind, _ := strings.Cut(scheme, "-")
	if first != "redis" && first != "rediss" || scheme != first && !slices.Contains([]string{"sentinel", "cluster"}, kind) {
		return "", false
	}
	return cmp.Or(kind, "single"), first == "rediss"
}

func readUser(o *redis.UniversalOptions, text string) error {
	if text == "" {
		return nil
	}
	name, password, _ := strings.Cut(text, ":")
	var err, err2 error
	o.Username, err = url.PathUnescape(name)
	o.Password, err2 = url.PathUnescape(password)
	if err != nil || err2 != nil || strings.ContainsAny(text, "@") {
		return errors.New("special characters in its user or password must be percent-encoded")
	}
	return nil
}

func readHosts(o *redis.UniversalOptions, text, kind string) error {
	port := defaultPort
	if kind == "sentinel" {
		port = sentinelPort
	}
	for host := range strings.SplitSeq(text, ",") {
		u, err := url.Parse("redis://" + host)
		if err != nil || u.Hostname() == "" || u.Host != host {
			return errors.New("its hosts must be HOST or HOST:PORT, with commas between them")
		}
		o.Addrs = append(o.Addrs, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	}
	if kind == "single" && len(o.Addrs) > 1 {
		return errors.New("names several hosts: that is for redis-sentinel:// and redis-cluster://")
	}
	o.IsClusterMode = kind == "cluster"
	return nil
}

func readPath(o *redis.UniversalOptions, path, kind string) error {
	database := path
	switch {
	case strings.ContainsAny(path, "?#"):
		return errors.New("takes no parameters")
	case kind == "cluster" && path != "":
		return errors.New("names a database, and a cluster has one only")
	case kind == "sentinel":
		o.MasterName, database, _ = strings.Cut(path, "/")
		if o.MasterName == "" {
			return errors.New("must name the master that the sentinels watch behind a /")
		}
	}
	if database == "" {
		return nil
	}
	n, err := strconv.ParseUint(database, 10, 8)
	if err != nil {
		return fmt.Errorf("its database must be a number up to 255, not %q", database)
	}
	o.DB = int(n)
	return nil
}
