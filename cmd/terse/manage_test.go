//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/terse/terse/internal/testenv"
	"github.com/terse/terse/store"
)

// ok fails the test unless a command succeeded, and returns its output.
func (r result) ok(t *testing.T) string {
	t.Helper()
	if r.status != 0 {
		t.Fatalf("status %d, want 0: %s", r.status, r.stderr)
	}
	return r.stdout
}

// TestLinkCommands follows one link through every command that shows or changes it.
func TestLinkCommands(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns+",admin")
	terse(t, environ, "shorten", "example.com/1", "--alias", "spring", "--max-clicks", "9", "--expires", "2w", "--tag", "a", "--confirm", "--no-visitors").ok(t)
	show := func() (l struct {
		URL, State, Title string
		Tags              []string
		Version           int64
		MaxClicks         int64      `json:"max_clicks"`
		ExpiresAt         *time.Time `json:"expires_at"`
		Confirm           bool
		NoVisitors        bool `json:"no_visitors"`
		Password          bool `json:"password_protected"`
	},
	) {
		t.Helper()
		if err := json.Unmarshal([]byte(terse(t, environ, "links", "show", p.url+"/spring+", "--json").ok(t)), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	if l := show(); l.URL != "https://example.com/1" || time.Until(*l.ExpiresAt).Round(time.Hour) != 14*24*time.Hour || !l.Confirm || !l.NoVisitors {
		t.Errorf("created %+v, want https and two weeks", l)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	terse(t, environ, "links", "edit", "spring", "--url", "example.com/2", "--title", "New", "--tag", "b", "--tag", "c", "--max-clicks", "0",
		"--expires", "never", "--password-file", password, "--no-confirm", "--visitors", "--if-version", "1").ok(t)
	if l := show(); l.URL != "https://example.com/2" || l.Title != "New" || strings.Join(l.Tags, " ") != "b c" || l.MaxClicks != 0 || l.ExpiresAt != nil || !l.Password || l.Confirm || l.NoVisitors || l.Version != 2 {
		t.Errorf("after the edit: %+v", l)
	}
	terse(t, environ, "links", "edit", "spring", "--title", "", "--tag", "", "--no-password", "--confirm", "--no-visitors").ok(t)
	if l := show(); l.URL != "https://example.com/2" || l.Title != "" || len(l.Tags) != 0 || l.Password || !l.Confirm || !l.NoVisitors || l.Version != 3 {
		t.Errorf("after the second edit: %+v", l)
	}
	table := terse(t, environ, "links", "history", "spring").ok(t)
	for _, want := range []string{"created", "edited", "https://example.com/1", `["b","c"]`} {
		if !strings.Contains(table, want) {
			t.Errorf("history lacks %q:\n%s", want, table)
		}
	}
	terse(t, environ, "links", "rollback", "spring", "1").ok(t)
	for _, args := range [][]string{{"disable", "--reason", "x"}, {"enable"}} {
		if got := terse(t, environ, append([]string{"links", args[0], "spring", "--if-version", "3"}, args[1:]...)...); got.status != 1 || !strings.Contains(got.stderr, "changed") {
			t.Errorf("%v of an earlier version = %+v, want an error", args, got)
		}
	}
	terse(t, environ, "links", "disable", "spring", "--reason", "phishing", "--if-version", "4").ok(t)
	if l := show(); l.URL != "https://example.com/1" || l.State != "disabled" {
		t.Errorf("after roll-back and disable: %+v", l)
	}
	if got := terse(t, environ, "links", "enable", "spring", "--if-version", "5").ok(t); !strings.Contains(got, "live") {
		t.Errorf("enable = %s, want a live link", got)
	}
	for name, magic := range map[string]string{"code.png": "\x89PNG", "code.svg": "<svg"} {
		path := filepath.Join(t.TempDir(), name)
		terse(t, environ, "links", "qr", "spring", "-o", path).ok(t)
		picture, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(picture), magic) {
			t.Errorf("qr -o %s wrote %.20q, %v", name, picture, err)
		}
	}
	for scans, want := range map[string]string{"--scans=false": "/spring<", "--scans": "/spring?qr=1<"} {
		if got := terse(t, environ, "links", "qr", "spring", "-o", "-", scans).ok(t); !strings.Contains(got, want) {
			t.Errorf("qr %s = %s, want %q in it", scans, got, want)
		}
	}
	for _, r := range []struct{ from, to, old, expands string }{{"spring", "summer", "redirect", p.url + "/summer"}, {"summer", "autumn", "gone", ""}} {
		if got := terse(t, environ, "links", "edit", r.from, "--alias", r.to, "--old-alias", r.old).ok(t); !strings.Contains(got, p.url+"/"+r.to) {
			t.Errorf("rename of %s = %s, want the short URL of %s", r.from, got, r.to)
		}
		if got := terse(t, environ, "expand", r.from); strings.TrimSpace(got.stdout) != r.expands {
			t.Errorf("expand %s after the rename = %+v, want %q", r.from, got, r.expands)
		}
	}
	terse(t, environ, "links", "delete", "spring").ok(t)
	if got := terse(t, environ, "links", "show", "spring"); got.status != 1 || !strings.Contains(got.stderr, "deleted") {
		t.Errorf("show of a deleted link = %+v", got)
	}
}

func TestLinkCommandsRefuse(t *testing.T) {
	t.Parallel()
	_, environ := startWithKey(t, owns)
	terse(t, environ, "shorten", "example.com/1", "--alias", "spring").ok(t)
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"links show nothing", 1, "no such link"},
		{"links show https://other.example/spring", 1, "domain: must be"},
		{"links show ftp://other.example/spring", 2, "ftp:// is not supported"},
		{"links edit spring", 2, "nothing to change"},
		{"links edit spring --expires yesterday --starts 2001-01-01", 2, "--starts"},
		{"links edit spring --url javascript:alert(1)", 1, "must begin with http"},
		{"links edit spring --title x --if-version 7", 1, "version"},
		{"links edit spring --old-alias gone", 2, "--old-alias"},
		{"links edit spring --alias login", 1, "alias"},
		{"links edit spring --alias x --old-alias keep", 1, "old_alias"},
		{"links delete spring --if-version 7", 1, "version"},
		{"links disable spring --reason x", 1, "admin"},
		{"links rollback spring 9", 1, "version"},
		{"links qr spring --size 1", 1, "size"},
		{"links qr spring -o /", 1, "folder"},
		{"reports list", 1, "admin"},
	} {
		got := terse(t, environ, strings.Fields(tt.args)...)
		if got.status != tt.status || !strings.Contains(got.stderr, tt.want) || got.stdout != "" {
			t.Errorf("terse %s = %+v, want status %d and %q", tt.args, got, tt.status, tt.want)
		}
	}
}

// TestExpandTakesWhatPeoplePaste expands one link in all spellings of its short URL.
func TestExpandTakesWhatPeoplePaste(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns)
	terse(t, environ, "shorten", "example.com/1", "--alias", "spring").ok(t)
	host := strings.TrimPrefix(p.url, "http://")
	for _, arg := range []string{"spring", "spring+", host + "/spring", host + "/spring/", p.url + "/spring", p.url + "/spring+", p.url + "/spring/", p.url + "/spring?utm=1#x", strings.ToUpper(p.url) + "/spring", " spring "} {
		if got := terse(t, environ, "expand", arg); got.ok(t) != "https://example.com/1\n" {
			t.Errorf("expand %q = %+v", arg, got)
		}
	}
	for arg, want := range map[string]string{
		p.url + "/":         "has no code",
		p.url + "/a/b":      "has no code",
		"mailto:a@b.c":      "is neither",
		p.url + "/static/x": "has no code",
		"robots.txt":        "",
	} {
		if got := terse(t, environ, "expand", "--patience", "0s", arg); got.status == 0 || !strings.Contains(got.stderr, want) {
			t.Errorf("expand %q = %+v, want an error with %q", arg, got, want)
		}
	}
}

// TestLogin saves a login, uses it, and never sends its key to another server.
func TestLogin(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns)
	_, key, _ := strings.Cut(environ[1], "=")
	home := t.TempDir()
	at := []string{"HOME=" + home}
	if got := terseReading(t, "tk_wrong\n", at, "login", p.url); got.status != 1 || !strings.Contains(got.stderr, "valid API key") {
		t.Errorf("login with a wrong key = %+v", got)
	}
	terseReading(t, key+"\n", at, "login", p.url+"/").ok(t)
	path := filepath.Join(home, ".config", "terse", "login.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the login has mode %v, %v, want 0600", info, err)
	}
	terse(t, at, "shorten", "example.com/1", "--alias", "spring").ok(t)
	if got := terse(t, at, "links", "show", "spring").ok(t); !strings.Contains(got, "https://example.com/1") {
		t.Errorf("links show with the login = %s", got)
	}
	other := start(t, t.TempDir())
	if got := terse(t, append(at, "TERSE_SERVER="+other.url), "links", "list"); got.status != 1 || !strings.Contains(got.stderr, "API key") {
		t.Errorf("links list of another server = %+v, want no key to be sent", got)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := terse(t, at, "links", "list"); got.status != 2 || !strings.Contains(got.stderr, path) {
		t.Errorf("links list with a broken login = %+v", got)
	}
	terse(t, at, "logout").ok(t)
	if got := terse(t, at, "logout"); got.status != 1 {
		t.Errorf("second logout = %+v, want status 1", got)
	}
}

// TestClientSaysThatItWaits checks that a client with a wrong address says what it waits for,
// whether the connection is refused or nothing answers.
func TestClientSaysThatItWaits(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	for server, want := range map[string]string{
		"http://127.0.0.1:1":               "127.0.0.1:1: connect: connection refused. Trying again",
		"http://" + silent.Addr().String(): "waiting for an answer of http://" + silent.Addr().String(),
	} {
		got := terse(t, []string{"TERSE_SERVER=" + server}, "shorten", "example.com", "--patience", "300ms", "--timeout", "3s")
		if got.status != 1 || !strings.Contains(got.stderr, want) || strings.Count(got.stderr, "\n") != 2 {
			t.Errorf("shorten at %s = %+v, want one report with %q and one error", server, got, want)
		}
	}
}

// TestReports lists and closes a report.
func TestReports(t *testing.T) {
	t.Parallel()
	p, environ := startWithKey(t, owns+",admin", "TERSE_TRUSTED_PROXIES=127.0.0.1/32")
	terse(t, environ, "shorten", "example.com/1", "--alias", "spring").ok(t)
	form := url.Values{"reason": {"phishing"}, "comment": {"one\ntwo\tthree"}}.Encode()
	const dropped = 2
	for i := range store.MaxReportsPerLink + dropped {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/spring+", strings.NewReader(form))
		must(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Forwarded-For", fmt.Sprint("192.0.2.", i))
		sent, err := client(t).Do(r)
		must(t, err)
		_ = sent.Body.Close()
		if sent.StatusCode != http.StatusOK {
			t.Fatalf("report = %d", sent.StatusCode)
		}
	}
	listed := terse(t, environ, "reports", "list").ok(t)
	if strings.Count(listed, "\n") != 1+store.MaxReportsPerLink || !strings.Contains(listed, "one two three") || !strings.Contains(listed, "phishing") {
		t.Errorf("reports list = %q, want a header and safe rows", listed)
	}
	rows := strings.Split(strings.TrimSpace(listed), "\n")[1:]
	if got := strings.Fields(rows[0])[3]; got != fmt.Sprint(dropped) {
		t.Errorf("newest report = %q, want %d dropped ones", rows[0], dropped)
	}
	for _, row := range rows {
		id, _, _ := strings.Cut(row, " ")
		terse(t, environ, "reports", "resolve", id, "--resolution", "taken down").ok(t)
	}
	if got := terse(t, environ, "reports", "list").ok(t); strings.Count(got, "\n") != 1 {
		t.Errorf("open reports = %s, want none", got)
	}
	if got := terse(t, environ, "reports", "list", "--resolved", "--json").ok(t); !strings.Contains(got, `"resolution":"taken down"`) {
		t.Errorf("resolved reports = %s", got)
	}
}

// TestCompletion completes a command line in every shell, with the lines of terse completion.
func TestCompletion(t *testing.T) {
	t.Parallel()
	binary := testenv.BuildTerse(t)
	for _, tt := range []struct {
		shell string
		args  []string
		want  string
	}{
		{"bash", []string{"-c", `source <(terse completion bash); complete -p terse | tr -d "'"; COMP_LINE="terse links h" terse`}, "complete -o default -C terse terse\nhistory\n"},
		{"fish", []string{"--no-config", "-c", `terse completion fish | source; complete -C "terse links h"; complete -C "terse links edit --al"`}, "history\n--alias\n"},
		{"zsh", []string{"-f", "-c", zshCompletes}, "<terse links history >"},
	} {
		t.Run(tt.shell, func(t *testing.T) {
			t.Parallel()
			shell, err := exec.LookPath(tt.shell)
			if err != nil {
				t.Fatalf("%s is missing: .ci/install %s", tt.shell, tt.shell)
			}
			cmd := exec.CommandContext(t.Context(), shell, tt.args...)
			cmd.Dir = t.TempDir() // fish completes names of files too
			cmd.Env = []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "TERM=xterm"}
			out, err := cmd.CombinedOutput()
			if got := string(out); err != nil || got != tt.want && (tt.shell != "zsh" || !strings.Contains(got, tt.want)) {
				t.Errorf("%s printed %q, %v, want %q", tt.shell, got, err, tt.want)
			}
		})
	}
}

// zshCompletes types a command line and a tab into an interactive zsh. zsh completes nowhere else.
// The key ^X then prints the command line and ends the shell.
const zshCompletes = `zmodload zsh/zpty
zpty shell "zsh -f -i"
zpty -w shell 'PS1= && autoload -U compinit && compinit -u -D && source <(terse completion zsh)'
zpty -w shell 'show() { print -r -- "<$BUFFER>"; exit } && zle -N show && bindkey "^X" show'
zpty -w -n shell $'terse links h\t\x18'
while zpty -r shell part; do out+=$part; done
print -r -- $out`

// TestMan checks that the manual page names every command and keeps the text.
func TestMan(t *testing.T) {
	t.Parallel()
	page := terse(t, nil, "man").ok(t)
	for _, want := range []string{".TH TERSE 1", ".SS terse links rollback <code> <version>", "date +%F", `\-\-base\-url=`} {
		if !strings.Contains(page, want) {
			t.Errorf("the manual page lacks %q", want)
		}
	}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "'") {
			t.Errorf("a line begins like a macro: %s", line)
		}
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	got := terse(t, []string{"TERSE_BASEURL=x", "TERSE_NONSENSE=x"}, "version")
	if got.status != 2 || !strings.Contains(got.stderr, "TERSE_BASEURL: unknown setting (did you mean TERSE_BASE_URL?)") || !strings.Contains(got.stderr, "TERSE_NONSENSE: unknown setting\n") {
		t.Errorf("misspelled settings = %+v", got)
	}
}
