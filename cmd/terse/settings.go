package main

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/terse/terse/access/oidc"
	"github.com/terse/terse/api"
	"github.com/terse/terse/api/ratelimit"
	"github.com/terse/terse/idgen"
	"github.com/terse/terse/store/cache/cdn"
	"github.com/terse/terse/store/cache/remote"
)

// dataFlags are the settings of every command that opens the database.
type dataFlags struct {
	Config  string `placeholder:"FILE" help:"JSON file with settings." setting:""`
	DataDir string `default:"./data" placeholder:"DIR" help:"Folder of the embedded database. Default: ./data." setting:""`
	Shards  string `placeholder:"SHARDS" help:"Postgres shards instead of the embedded database, separated by semicolons or newlines. Each is NAME PRIMARY_URL [REPLICA_URL …]." setting:"" secret:""`
}

// serveFlags are the settings of the server. All are text, because kong stops at the
// first value that it cannot parse; read reports every wrong value at once.
type serveFlags struct {
	dataFlags
	operationFlags

	Listen      string `placeholder:"ADDRESS" help:"Public address. Default: :8080, or :443 with --https on." setting:""`
	AdminListen string `default:"127.0.0.1:9090" placeholder:"ADDRESS" help:"Address of health checks, metrics and profiles. Never make it public. Default: 127.0.0.1:9090." setting:""`
	AdminHosts  string `placeholder:"NAME,…" help:"Host names that the admin listener accepts in addition to addresses, localhost and the name in --admin-listen. Default: none." setting:""`
	BaseURL     string `placeholder:"URL" help:"Start of every short URL, such as https://sho.rt. Default: http://localhost and the port of --listen." setting:""`
	AppURL      string `name:"app-url" placeholder:"URL" help:"The console on a host of its own, such as https://console.sho.rt. Default: the console is below --base-url." setting:""`
	CodeKey     string `placeholder:"KEY" help:"Secret key for the codes: 32 bytes in base64. Required with shards. It must be the same on all nodes and must never change. Default: created on first start and stored in the embedded database." setting:"" secret:""`
	NodeID      string `placeholder:"N" help:"Node id, 0 to 511, for nodes that share shards. Default: a free one is leased." setting:""`

	ReplicaMaxAge string `default:"1h" placeholder:"TIME" help:"Maximum age of a replica's data that is served while the primary is unreachable. Default: 1h." setting:""`

	AnonymousCreate      string `default:"true" placeholder:"BOOL" help:"Whether links can be created without an API key. Default: true." setting:""`
	AnonymousLife        string `default:"0" placeholder:"TIME" help:"Longest time until a link without an owner expires, which is also the default, such as 720h. 0 means that it need not expire. Default: 0." setting:""`
	TrustedProxies       string `placeholder:"CIDR,…" help:"Proxies that may choose the client's address (X-Forwarded-For), the request id and the trace. Default: none." setting:""`
	ProxyProtocol        string `default:"false" placeholder:"BOOL" help:"Whether trusted proxies begin each connection with a PROXY header, version 1 or 2. Default: false." setting:""`
	CORSOrigins          string `name:"cors-origins" placeholder:"ORIGIN,…" help:"Origins of pages that may call the API, such as https://app.example, or * for all. Default: none." setting:""`
	SiteName             string `placeholder:"NAME" help:"Name of the website, shown on its pages. Default: Terse." setting:""`
	Contact              string `placeholder:"ADDRESS" help:"Whom visitors may contact: an e-mail address or the https address of a page. Shown on the pages. Default: nobody." setting:""`
	SecurityContact      string `placeholder:"URI,…" help:"Where to report vulnerabilities, such as mailto:security@example.com. Shown in /.well-known/security.txt. Default: none." setting:""`
	ReservedAliases      string `placeholder:"NAME,…" help:"Names that cannot be new aliases, in addition to login, admin, health and the like. Default: none." setting:""`
	LimitCreateAnonymous string `default:"60/1m" placeholder:"N/TIME" help:"Creates by one client without a key, including rejected creates, or off. Default: 60/1m." setting:""`
	LimitCreateTotal     string `default:"600/1m" placeholder:"N/TIME" help:"Creates by all clients without a key together, or off. Default: 600/1m." setting:""`
	LimitCreateKey       string `default:"6000/1m" placeholder:"N/TIME" help:"Creates, edits and roll-backs by one API key that has no limit of its own, or off. Default: 6000/1m." setting:""`
	LimitUnknown         string `default:"40/20s" placeholder:"N/TIME" help:"Unknown codes that one client may request, or off. Unknown API keys have the same limit. Default: 40/20s." setting:""`
	LimitPassword        string `default:"10/10m" placeholder:"N/TIME" help:"Password guesses by one client on one link, or off. The limit of all clients together on a link is ten times higher. Default: 10/10m." setting:""`

	httpsFlags
	abuseFlags
	clickFlags
	domainFlags
	providerFlags

	RedisURL         string `name:"redis-url" placeholder:"URL" help:"Redis that all nodes share: redis://, rediss://, redis-sentinel://HOST,…/MASTER or redis-cluster://HOST,…. Default: none." setting:"" secret:""`
	CDN              string `name:"cdn" default:"none" placeholder:"NAME" help:"Cache in front of this server, which is purged after edits: none, varnish, fastly or cloudflare. Default: none." setting:""`
	VarnishURLs      string `name:"varnish-urls" placeholder:"URL,…" help:"Every Varnish to purge. Required with --cdn varnish." setting:""`
	VarnishSecret    string `placeholder:"TEXT" help:"Secret that the VCL requires in a purge request. Required with --cdn varnish." setting:"" secret:""`
	FastlyServiceID  string `name:"fastly-service-id" placeholder:"ID" help:"The service. Required with --cdn fastly." setting:""`
	FastlyToken      string `placeholder:"TOKEN" help:"API token that may purge the service. Required with --cdn fastly." setting:"" secret:""`
	CloudflareZoneID string `name:"cloudflare-zone-id" placeholder:"ID" help:"The zone. Required with --cdn cloudflare." setting:""`
	CDNRate          string `name:"cdn-rate" placeholder:"N/TIME" help:"Purge requests that your plan allows. Default: the rate of the provider's smallest plan." setting:""`
	CloudflareToken  string `placeholder:"TOKEN" help:"API token with the permission Cache Purge for the zone. Required with --cdn cloudflare." setting:"" secret:""`

	BatchSize string `default:"256" placeholder:"N" help:"Most creates, or cold reads, that share one statement to a shard. 1 turns sharing off. Default: 256." setting:""`
	CacheSize string `default:"64" placeholder:"MIB" help:"Memory of the in-process cache, in MiB. Default: 64." setting:""`
	LogLevel  string `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error. Default: info." setting:""`
	LogFormat string `default:"text" placeholder:"FORMAT" help:"text or json. Default: text." setting:""`
}

// serveSettings are the parsed serveFlags.
type serveSettings struct {
	dataDir         string
	shards          []shardSettings // empty: use the embedded database
	batchSize       int
	replicaMaxAge   time.Duration
	listen, admin   string
	adminHosts      []string // in lower case
	appURL          string   // empty: the console is below baseURL
	baseURL         string   // empty: http://localhost and the port of listen
	codeKey         []byte   // nil: the embedded database has its own
	nodeID          int64    // anyNode: lease a free one
	anonymousCreate bool
	anonymousLife   time.Duration // 0: links without an owner need not expire
	proxies         ratelimit.Proxies
	proxyProtocol   bool
	corsOrigins     []string
	siteName        string   // empty: Terse
	contact         string   // mailto: or https: URI; empty: nobody
	contacts        []string // for security.txt; empty: no file
	reserved        []string // names that cannot be new aliases, in addition to api.Reserved
	limits          api.Limits
	https           httpsSettings
	abuse           abuseSettings
	clicks          clickSettings
	domains         domainSettings
	providers       []oidc.Options // without RedirectURL
	proxySignIn     api.ProxySignIn
	redisURL        string      // empty: no Redis
	cdn             cdn.Options // empty Provider: no CDN
	cacheBytes      int64
	operation       operationSettings
	logLevel        slog.Level
	logJSON         bool
}

// embeddedDir returns the folder of the embedded database, empty with shards.
func (s *serveSettings) embeddedDir() string {
	if len(s.shards) > 0 {
		return ""
	}
	return s.dataDir
}

// maxBatchSize keeps a batch small enough for a shard to run in milliseconds.
const maxBatchSize = 4096

// maxCacheMiB is 1 TiB. A larger value is a typing error.
const maxCacheMiB = 1 << 20

// read turns the flags into settings. It returns every problem that it finds.
func (f *serveFlags) read() (serveSettings, []error) {
	var problems []error
	try := func(name string, err error) { problems = append(problems, variableErrors(name, err)...) }
	s := serveSettings{dataDir: f.DataDir, listen: f.Listen, admin: f.AdminListen, baseURL: f.BaseURL}
	var err error
	s.shards, err = parseShards(f.Shards)
	try("SHARDS", err)
	s.https = f.httpsFlags.read(f.BaseURL, try)
	if s.listen == "" && s.https.on {
		s.listen = defaultHTTPSListen
	}
	s.listen = cmp.Or(s.listen, defaultListen)
	try("LISTEN", checkAddress(s.listen))
	try("ADMIN_LISTEN", checkAddress(f.AdminListen))
	s.adminHosts, err = parseAdminHosts(f.AdminHosts, f.AdminListen)
	try("ADMIN_HOSTS", err)
	if f.BaseURL != "" {
		_, err = api.ParseBaseURL(f.BaseURL)
		try("BASE_URL", err)
	}
	s.appURL = f.AppURL
	try("APP_URL", checkAppURL(f.AppURL, f.BaseURL, s.https))
	s.codeKey, err = parseCodeKey(f.CodeKey)
	if err == nil && s.codeKey == nil && len(s.shards) > 0 {
		err = fmt.Errorf("is required with %sSHARDS. Make one key for all nodes: openssl rand -base64 %d", envPrefix, idgen.KeySize)
	}
	try("CODE_KEY", err)
	s.nodeID, err = parseNodeID(f.NodeID, len(s.shards) > 0)
	try("NODE_ID", err)
	s.batchSize, err = parseCount(f.BatchSize, maxBatchSize)
	try("BATCH_SIZE", err)
	s.replicaMaxAge, err = parseDuration(f.ReplicaMaxAge)
	if err == nil && s.replicaMaxAge < time.Second {
		err = fmt.Errorf("%q must be at least 1s", f.ReplicaMaxAge)
	}
	try("REPLICA_MAX_AGE", err)
	s.anonymousCreate, err = parseBool(f.AnonymousCreate)
	try("ANONYMOUS_CREATE", err)
	s.anonymousLife, err = parseDuration(f.AnonymousLife)
	try("ANONYMOUS_LIFE", err)
	s.proxies, err = ratelimit.ParseProxies(splitList(f.TrustedProxies))
	try("TRUSTED_PROXIES", err)
	proxiesKnown := err == nil
	s.proxyProtocol, err = parseBool(f.ProxyProtocol)
	if s.proxyProtocol && proxiesKnown && s.proxies.None() {
		err = fmt.Errorf("requires %sTRUSTED_PROXIES: only trusted proxies may send PROXY headers", envPrefix)
	}
	try("PROXY_PROTOCOL", err)
	s.corsOrigins, err = api.ParseOrigins(splitList(f.CORSOrigins))
	try("CORS_ORIGINS", err)
	s.siteName, err = api.ParseSiteName(f.SiteName)
	try("SITE_NAME", err)
	s.contact, err = api.ParseContact(f.Contact)
	try("CONTACT", err)
	s.contacts, err = api.ParseContacts(splitList(f.SecurityContact))
	try("SECURITY_CONTACT", err)
	s.reserved, err = api.ParseReserved(splitList(f.ReservedAliases))
	try("RESERVED_ALIASES", err)
	s.limits.CreateAnonymous, err = ratelimit.ParseLimit(f.LimitCreateAnonymous)
	try("LIMIT_CREATE_ANONYMOUS", err)
	s.limits.CreateTotal, err = ratelimit.ParseLimit(f.LimitCreateTotal)
	try("LIMIT_CREATE_TOTAL", err)
	s.limits.CreateKey, err = ratelimit.ParseLimit(f.LimitCreateKey)
	try("LIMIT_CREATE_KEY", err)
	s.limits.Unknown, err = ratelimit.ParseLimit(f.LimitUnknown)
	try("LIMIT_UNKNOWN", err)
	s.limits.Password, err = ratelimit.ParseLimit(f.LimitPassword)
	try("LIMIT_PASSWORD", err)
	s.limits.Report, err = ratelimit.ParseLimit(f.LimitReport)
	try("LIMIT_REPORT", err)
	s.abuse = f.abuseFlags.read(try)
	s.clicks = f.clickFlags.read(s.embeddedDir(), proxiesKnown && !s.proxies.None(), try)
	s.domains = f.domainFlags.read(try)
	s.providers = f.providerFlags.read(try)
	s.proxySignIn = f.readProxy(!proxiesKnown || !s.proxies.None(), try)
	ofRedis, ofSentinels := remote.Passwords(f.RedisURL)
	s.redisURL, err = f.RedisURL, cmp.Or(remote.CheckURL(f.RedisURL), checkSecret(ofRedis), checkSecret(ofSentinels))
	try("REDIS_URL", err)
	s.cdn = f.readCDN(try)
	if s.proxySignIn.User != "" && s.cdn.Provider != "" {
		try("PROXY_SIGN_IN", fmt.Errorf("must not be set with %sCDN: a CDN is a trusted proxy that passes on the headers of visitors", envPrefix))
	}
	s.cacheBytes, err = parseMiB(f.CacheSize)
	try("CACHE_SIZE", err)
	s.operation = f.operationFlags.read(len(s.shards) > 0, try)
	s.logLevel, err = parseLogLevel(f.LogLevel)
	try("LOG_LEVEL", err)
	s.logJSON, err = parseLogFormat(f.LogFormat)
	try("LOG_FORMAT", err)
	return s, problems
}

// variableErrors splits a joined error and puts the name of the variable in front of each part.
func variableErrors(name string, err error) []error {
	if err == nil {
		return nil
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for i := range all {
		all[i] = fmt.Errorf("%s%s: %w", envPrefix, name, all[i])
	}
	return all
}

// readShards returns the shards. It returns none when the command uses the embedded
// database.
func (f *dataFlags) readShards() ([]shardSettings, error) {
	shards, err := parseShards(f.Shards)
	if err != nil {
		return nil, settingsError{errors.Join(variableErrors("SHARDS", err)...)}
	}
	return shards, nil
}

// checkAppURL checks the address of the console. A wrong base URL is reported elsewhere.
func checkAppURL(app, base string, secure httpsSettings) error {
	if app == "" {
		return nil
	}
	if base == "" {
		return fmt.Errorf("requires %sBASE_URL", envPrefix)
	}
	shortURLs, err := api.ParseBaseURL(base)
	if err != nil {
		_, err = api.ParseBaseURL(app)
		return err
	}
	u, err := api.ParseAppURL(app, shortURLs)
	if err != nil || !secure.on {
		return err
	}
	if u.Port() != shortURLs.Port() {
		return fmt.Errorf("%q must have the same port as %sBASE_URL with %sHTTPS=on", app, envPrefix, envPrefix)
	}
	return checkSecureName(app, u, secure.certFile != "")
}

// consoleURL returns the start of the addresses of the console.
func (s *serveSettings) consoleURL() string { return cmp.Or(s.appURL, s.baseURL) }

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q must be host:port or :port", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: the port must be a number up to 65535, not %q", address, port)
	}
	return nil
}

// parseAdminHosts returns the host names of the admin listener, the name in its address
// included.
func parseAdminHosts(names, listen string) ([]string, error) {
	hosts := splitList(names)
	var errs []error
	for i, name := range hosts {
		if strings.ContainsAny(name, ":/@*[]") {
			errs = append(errs, fmt.Errorf("%q must be a host name without a port", name))
		}
		hosts[i] = strings.ToLower(strings.TrimSuffix(name, "."))
	}
	if name, _, err := net.SplitHostPort(listen); err == nil && name != "" {
		hosts = append(hosts, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	return hosts, errors.Join(errs...)
}

func parseCodeKey(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(key) != idgen.KeySize {
		return nil, fmt.Errorf("must be %d bytes in base64. Make a key: openssl rand -base64 %d", idgen.KeySize, idgen.KeySize)
	}
	if err := idgen.CheckKey(key); err != nil {
		return nil, fmt.Errorf("must be random, but %w. Make a key: openssl rand -base64 %d", err, idgen.KeySize)
	}
	return key, nil
}

// anyNode means that the process leases any free node id.
const anyNode = -1

// parseNodeID parses a node id. Empty text is anyNode.
func parseNodeID(s string, shared bool) (int64, error) {
	if s == "" {
		return anyNode, nil
	}
	if !shared {
		return 0, fmt.Errorf("is only for nodes with shards: set %sSHARDS, or remove this setting", envPrefix)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n >= idgen.Nodes {
		return 0, fmt.Errorf("%q must be a whole number from 0 to %d", s, idgen.Nodes-1)
	}
	return n, nil
}

func parseCount(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%q must be a whole number from 1 to %d", s, most)
	}
	return n, nil
}

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("%q must be true or false", s)
	}
	return b, nil
}

func parseMiB(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || n > maxCacheMiB {
		return 0, fmt.Errorf("%q must be a whole number from 1 to %d, in MiB", s, maxCacheMiB)
	}
	return n << 20, nil
}

func parseLogLevel(s string) (slog.Level, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(s, level.String()) {
			return level, nil
		}
	}
	return 0, fmt.Errorf("%q must be debug, info, warn or error", s)
}

func parseLogFormat(s string) (isJSON bool, err error) {
	if s != "text" && s != "json" {
		return false, fmt.Errorf("%q must be text or json", s)
	}
	return s == "json", nil
}

// splitList splits a list at commas, spaces and newlines.
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
}
