package web

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"net/http"
)

// Paths of files that browsers read to install the console and to search it. The caller serves them without a session,
// because browsers read them without cookies.
const (
	ManifestPath   = ConsolePath + "manifest.webmanifest"
	OpenSearchPath = ConsolePath + "opensearch.xml"
)

// Manifest writes the manifest of the console as an app (W3C Web Application Manifest). Another app can share an
// address with the form for a new link (Web Share Target).
func (p *Pages) Manifest(w http.ResponseWriter) {
	type icon struct {
		Src   string `json:"src"`
		Sizes string `json:"sizes"`
		Type  string `json:"type"`
	}
	type params struct {
		Title string `json:"title"`
		Text  string `json:"text"`
		URL   string `json:"url"`
	}
	type target struct {
		Action string `json:"action"`
		Method string `json:"method"`
		Params params `json:"params"`
	}
	body, err := json.Marshal(struct {
		Name    string `json:"name"`
		ID      string `json:"id"`
		Start   string `json:"start_url"`
		Scope   string `json:"scope"`
		Display string `json:"display"`
		Icons   []icon `json:"icons"`
		Share   target `json:"share_target"`
	}{
		p.opts.Name, ConsolePath, ConsolePath, ConsolePath, "minimal-ui",
		[]icon{{p.Asset("icon.svg"), "any", "image/svg+xml"}},
		target{ConsolePath + "new", http.MethodGet, params{"title", "text", "url"}},
	})
	p.writeFile(w, "application/manifest+json", body, err)
}

// maxShortName is the longest ShortName in characters (OpenSearch 1.1).
const maxShortName = 16

// OpenSearch writes the description of the search for links (OpenSearch 1.1).
func (p *Pages) OpenSearch(w http.ResponseWriter) {
	name := []rune(p.opts.Name)
	type address struct {
		Type     string `xml:"type,attr"`
		Template string `xml:"template,attr"`
	}
	body, err := xml.Marshal(struct {
		XMLName     xml.Name `xml:"http://a9.com/-/spec/opensearch/1.1/ OpenSearchDescription"`
		ShortName   string
		Description string
		Encoding    string  `xml:"InputEncoding"`
		URL         address `xml:"Url"`
	}{
		ShortName: string(name[:min(len(name), maxShortName)]), Description: "Links of " + p.opts.Name, Encoding: "UTF-8",
		URL: address{"text/html", cmp.Or(p.opts.AppURL, p.opts.BaseURL) + ConsolePath + "links?q={searchTerms}"},
	})
	p.writeFile(w, "application/opensearchdescription+xml", append([]byte(xml.Header), body...), err)
}

// writeFile writes a file. It panics for err: the values of the files always have a text.
func (*Pages) writeFile(w http.ResponseWriter, kind string, body []byte, err error) {
	if err != nil {
		panic("web: " + kind + ": " + err.Error())
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) // the client may have disconnected
}
