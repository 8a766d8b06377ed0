package transfer

import (
	"bufio"
	"fmt"
	"slices"
	"strings"
)

// product describes the exports of a product.
type product struct {
	layout

	path []string // where JSON has the links, see documents

	// table is the end of the name of the table of links in a database dump. columns are used
	// when the dump does not name the columns. Empty: dumps are not read.
	table   string
	columns []string
}

// yourls has database dumps, answers of the API to action=stats, and CSV of plugins.
var yourls = product{
	layout: layout{
		url:   []string{"url", "longurl", "target"},
		code:  []string{"keyword", "source"},
		short: []string{"shorturl"},
		title: []string{"title"}, created: []string{"timestamp"}, clicks: []string{"clicks", "hits"},
	},
	path: []string{"links"}, table: "url", columns: []string{"keyword", "url", "title", "timestamp", "ip", "clicks"},
}

// shlink has answers of GET /rest/v3/short-urls, and CSV of the web client. Rules are read by
// readShlinkRules.
var shlink = product{
	layout: layout{
		url: []string{"longurl"}, code: []string{"shortcode"}, short: []string{"shorturl"}, domain: []string{"domain"}, domains: true,
		title: []string{"title"}, tags: []string{"tags"}, created: []string{"datecreated", "createdat"},
		starts: []string{"meta.validsince", "validsince"}, expires: []string{"meta.validuntil", "validuntil"},
		maxClicks: []string{"meta.maxvisits", "maxvisits"},
		clicks:    []string{"visitssummary.total", "visitscount", "visits"},
		finish: func(f fields, r *Record) error {
			if forward := f.text("forwardquery"); forward != "" && isTrue(forward) {
				r.Link.ForwardQuery = "override" // a visitor's value replaces the target's
			}
			if l := &r.Link; l.MaxClicks > 0 {
				l.UsedClicks = min(l.Clicks, l.MaxClicks)
			}
			return readShlinkRules(f, r)
		},
	},
	path: []string{"shortUrls", "data"},
}

// kutt has answers of GET /api/v2/links, and its table as CSV or in a database dump. The API
// shows only whether a link has a password, the table has a hash.
var kutt = product{
	layout: layout{
		url: []string{"target"}, code: []string{"address"}, short: []string{"link"}, domain: []string{"domain", "domain_id"}, domains: true,
		title: []string{"description"}, created: []string{"created_at"}, updated: []string{"updated_at"}, expires: []string{"expire_in"},
		clicks: []string{"visit_count"}, password: []string{"password"}, banned: []string{"banned"},
		finish: func(_ fields, r *Record) error {
			if r.Disabled {
				r.Link.DisabledAt, r.Link.DisabledReason = r.Link.UpdatedAt, "banned"
			}
			return nil
		},
	},
	path: []string{"data"}, table: "links",
}

// bitly has answers of GET /v4/groups/{guid}/bitlinks, and CSV. The names of the columns have
// changed over time.
var bitly = product{
	layout: layout{
		url:   []string{"long_url", "destination_url", "destination", "original_url"},
		short: []string{"custom_bitlinks", "custom_link", "custom_links", "custom_bitlink", "custom_back_half", "link", "bitlink", "bitlinks", "short_link", "short_url", "id"},
		title: []string{"title"}, tags: []string{"tags"},
		created: []string{"created_at", "created", "created_date", "date_created", "date"},
		clicks:  []string{"clicks", "total_clicks", "engagements", "total_engagements"},
		finish: func(f fields, r *Record) error {
			if custom, _ := f.list("custom_bitlinks"); len(custom) > 0 {
				r.Link.Code, r.Domain = codeOf(custom[0]), hostOf(custom[0])
			}
			return nil
		},
	},
	path: []string{"links"},
}

// rebrandly has answers of GET /v1/links, and CSV that is made of them.
var rebrandly = product{layout: layout{
	url: []string{"destination", "destination_url", "long_url"}, code: []string{"slashtag"}, short: []string{"short_url", "short_link", "link", "branded_link"},
	domain: []string{"domain.fullname", "domain", "domain_name"}, title: []string{"title"}, tags: []string{"tags"},
	created: []string{"created_at", "created", "creation_date", "date_created"}, updated: []string{"updated_at", "last_update"},
	clicks: []string{"clicks", "total_clicks"},
}}

// shortio has answers of GET /api/links, and CSV.
var shortio = product{
	layout: layout{
		url: []string{"original_url", "destination_url", "long_url", "destination"}, code: []string{"path", "slug"},
		short: []string{"short_url", "secure_short_url", "short_link", "link"}, domain: []string{"domain", "domain_name", "hostname"},
		title: []string{"title"}, tags: []string{"tags"},
		created: []string{"created_at", "created", "creation_date", "date_created"}, updated: []string{"updated_at"},
		expires: []string{"expires_at", "expiration_date"}, clicks: []string{"clicks", "total_clicks", "human_clicks"},
		maxClicks: []string{"clicks_limit"}, password: []string{"password", "has_password"},
		dropped: []string{"iphone_url", "ios_url", "android_url", "split_url", "expired_url"},
	},
	path: []string{"links"},
}

// dub has answers of GET /links, and CSV with the columns that a person chose. Targets for devices and
// countries, and A/B tests, are read by readDubRules.
var dub = product{layout: layout{
	url: []string{"url", "destination_url", "long_url"}, code: []string{"key", "slug"}, short: []string{"short_link", "link"},
	domain: []string{"domain"}, title: []string{"title"}, tags: []string{"tags", "tag"},
	created: []string{"created_at", "created"}, updated: []string{"updated_at"}, expires: []string{"expires_at", "expiration_date"},
	clicks: []string{"clicks", "total_clicks"}, password: []string{"password"},
	finish: readDubRules,
}}

// openProduct returns the function that opens the exports of a product.
func openProduct(p product) func(r *bufio.Reader, _ map[string]string) (Reader, error) {
	return func(r *bufio.Reader, _ map[string]string) (Reader, error) {
		switch form, err := sniff(r); {
		case err != nil:
			return nil, err
		case form == formJSON:
			return openDocuments(r, p.record, p.path...), nil
		case form == formSQL && p.table == "":
			return nil, noLinks("it is SQL, which is read from YOURLS and Kutt only")
		case form == formSQL:
			return openDump(r, &p.layout, p.table, p.columns), nil
		}
		t, err := openTable(r)
		if err != nil {
			return nil, err
		}
		if missing := p.missing(func(names []string) bool { return t.has(names...) }); len(missing) > 0 {
			lists := make([]string, len(missing))
			for i, names := range missing {
				lists[i] = strings.Join(slices.Compact(names), " or ")
			}
			return nil, noLinks("it needs the column %s, and has the columns %s. If another product wrote the file, name it with --from, or name the columns with --map",
				strings.Join(lists, " and the column "), t.found())
		}
		for _, names := range [][]string{p.url, p.code, p.short} {
			for _, name := range names {
				if slices.Contains(t.twice, fieldName(name)) {
					return nil, fmt.Errorf("the column %s appears twice", name)
				}
			}
		}
		return tableReader{t, p.record}, nil
	}
}
