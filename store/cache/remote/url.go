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

// CheckURL returns what is wrong with the URL of a Redis. It accepts these forms. A scheme
// that begins with rediss instead of redis means TLS:
//
//	redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
//	redis-sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/MASTER[/DB][?sentinel_password=PASSWORD]
//	redis-cluster://[[USER]:PASSWORD@]HOST[:PORT],…
//
// An empty text means no Redis and is valid. Errors do not repeat the URL, because it may
// contain a password.
func CheckURL(text string) error {
	if text == "" {
		return nil
	}
	_, err := parseURL(text)
	return err
}

// Passwords returns the passwords in a URL that CheckURL accepts: of Redis and of its
// sentinels. A missing password is "".
func Passwords(text string) (servers, sentinels string) {
	o, err := parseURL(text)
	if err != nil {
		return "", ""
	}
	return o.Password, o.SentinelPassword
}

func parseURL(text string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	kind, secure := schemes(scheme)
	if !ok || kind == "" {
		return nil, errors.New("must begin with redis://, rediss://, redis-sentinel://, rediss-sentinel://, redis-cluster:// or rediss-cluster://")
	}
	rest, parameters, hasParameters := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i], authority[i+1:]
	}
	o := &redis.UniversalOptions{}
	if err := errors.Join(readUser(o, user), readHosts(o, hosts, kind), readPath(o, path, kind)); err != nil {
		return nil, err
	}
	if hasParameters {
		if err := readParameters(o, parameters, kind); err != nil {
			return nil, err
		}
	}
	if secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if len(o.Addrs) == 1 {
			o.TLSConfig.ServerName, _, _ = net.SplitHostPort(o.Addrs[0])
		}
	}
	return o, nil
}

// schemes parses a scheme. kind is single, sentinel or cluster, or empty if the scheme is
// unknown.
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
		return errors.New("special characters in the user name and the password must be percent-encoded")
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
			return errors.New("hosts must be HOST or HOST:PORT, separated by commas")
		}
		o.Addrs = append(o.Addrs, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)))
	}
	if kind == "single" && len(o.Addrs) > 1 {
		return errors.New("only redis-sentinel:// and redis-cluster:// may have several hosts")
	}
	o.IsClusterMode = kind == "cluster"
	return nil
}

func readPath(o *redis.UniversalOptions, path, kind string) error {
	database := path
	switch {
	case strings.Contains(path, "#"):
		return errors.New("must not have a fragment")
	case kind == "cluster" && path != "":
		return errors.New("must not have a database, because a cluster has only one")
	case kind == "sentinel":
		o.MasterName, database, _ = strings.Cut(path, "/")
		if o.MasterName == "" {
			return errors.New("must end with / and the name of the master that the sentinels watch")
		}
	}
	if database == "" {
		return nil
	}
	n, err := strconv.ParseUint(database, 10, 8)
	if err != nil {
		return fmt.Errorf("the database must be a number from 0 to 255, not %q", database)
	}
	o.DB = int(n)
	return nil
}

// sentinelPassword is the only parameter of a URL.
const sentinelPassword = "sentinel_password"

func readParameters(o *redis.UniversalOptions, text, kind string) error {
	name, value, _ := strings.Cut(text, "=")
	if name != sentinelPassword || kind != "sentinel" || strings.ContainsAny(value, "&#") {
		return errors.New("must not have parameters, except ?" + sentinelPassword + "=PASSWORD with redis-sentinel://")
	}
	var err error
	if o.SentinelPassword, err = url.PathUnescape(value); err != nil || value == "" {
		return errors.New(sentinelPassword + " must be a password with its special characters percent-encoded")
	}
	return nil
}
