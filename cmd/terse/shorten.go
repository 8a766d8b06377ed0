package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/client/transfer"
	"github.com/terse/terse/internal/inorder"
)

// shortenCalls is the number of requests that run at once.
const shortenCalls = 16

type shortenCommand struct {
	clientFlags
	URLs []string `arg:"" name:"url" help:"URLs to shorten. - reads URLs from standard input, one a line."`

	Encoding string `placeholder:"NAME" help:"Encoding of standard input, such as latin1, windows-1252 or utf-16le. Default: UTF-8, or what a byte order mark says."`

	Domain       string   `placeholder:"HOST" help:"The domain of the short URLs. Default: the default domain of the API key, or else of the server."`
	Alias        string   `help:"A code of your choice."`
	Title        string   `help:"Title, shown to you and on the preview page."`
	Tag          []string `sep:"none" help:"A tag. Repeat the flag for more tags."`
	Starts       string   `placeholder:"WHEN" help:"Start of the link: a time from now such as 12h, or a date such as 2027-01-31."`
	Expires      string   `placeholder:"WHEN" help:"End of the link: a time from now such as 30d or 2w, or a date such as 2027-01-31."`
	MaxClicks    int64    `placeholder:"N" help:"Number of redirects that the link serves."`
	Confirm      bool     `help:"Ask visitors to press Continue. Chat and mail programs that open links then use no click."`
	NoVisitors   bool     `help:"Count the clicks of the link, but not its visitors."`
	PasswordFile string   `placeholder:"FILE" help:"File with the password that visitors must enter. - reads standard input."`
	Status       int      `placeholder:"CODE" help:"Status of the redirect: 301, 302, 307 or 308."`
	ForwardQuery string   `placeholder:"HOW" help:"Use of a visit's query: off drops it, append adds it, override replaces parameters of the same name."`
	ForwardPath  string   `placeholder:"HOW" help:"Use of the path of a visit after the code: append adds it to the target, off refuses it."`
	Rules        string   `placeholder:"FILE" help:"File with the rules of the link, a JSON list. - reads standard input."`
	Reuse        bool     `help:"Print your existing link to the same target, if you have one."`
	JSON         bool     `name:"json" help:"Print each link as a line of JSON."`
}

// Help is shown below the command's purpose.
func (*shortenCommand) Help() string {
	return `Only short URLs go to stdout:

    terse shorten example.com/a/long/path | pbcopy
    terse shorten --tag print --expires 30d - < urls.txt

Rejected URLs are reported on stderr with their line; the rest are shortened.`
}

// template returns the properties that the flags give to every link.
func (c *shortenCommand) template(stdin io.Reader) (terseclient.NewLink, error) {
	l := terseclient.NewLink{
		Domain: c.Domain, Alias: c.Alias, Title: c.Title, Tags: c.Tag, MaxClicks: c.MaxClicks,
		Status: c.Status, ForwardQuery: c.ForwardQuery, ForwardPath: c.ForwardPath, Confirm: c.Confirm, NoVisitors: c.NoVisitors, Reuse: c.Reuse,
	}
	var problems []error
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, f := range []struct {
		name, text string
		to         **time.Time
	}{{"--starts", c.Starts, &l.StartsAt}, {"--expires", c.Expires, &l.ExpiresAt}} {
		if f.text == "" {
			continue
		}
		at, err := parseMoment(f.name, f.text, now)
		if err != nil {
			problems = append(problems, err)
		}
		*f.to = &at
	}
	if c.Alias != "" && (len(c.URLs) > 1 || c.URLs[0] == "-") {
		problems = append(problems, errors.New("--alias: works with one URL only"))
	}
	if _, err := transfer.NewTextReader(strings.NewReader(""), c.Encoding); err != nil {
		problems = append(problems, fmt.Errorf("--encoding: %w", err))
	}
	if c.PasswordFile != "" {
		var err error
		if l.Password, err = readPassword(c.PasswordFile, stdin); err != nil {
			problems = append(problems, fmt.Errorf("--password-file: %w", err))
		}
		if c.PasswordFile == "-" && slices.Contains(c.URLs, "-") {
			problems = append(problems, errors.New("--password-file: standard input is used for the URLs already"))
		}
	}
	if c.Rules == "-" && (c.PasswordFile == "-" || slices.Contains(c.URLs, "-")) {
		problems = append(problems, errors.New("--rules: standard input is used for the URLs or the password already"))
	} else if rules, err := readRules(c.Rules, stdin); err != nil {
		problems = append(problems, err)
	} else {
		l.Rules = rules
	}
	return l, errors.Join(problems...)
}

// readPassword returns the first line of a file, or of stdin for "-".
func readPassword(path string, stdin io.Reader) (string, error) {
	var content []byte
	var err error
	if path == "-" {
		content, err = io.ReadAll(io.LimitReader(stdin, 4096))
	} else {
		content, err = os.ReadFile(path) //nolint:gosec // the user names the file
	}
	password, _, _ := strings.Cut(string(content), "\n")
	if password = strings.TrimSuffix(password, "\r"); err == nil && password == "" {
		err = errors.New("is empty")
	}
	return password, err
}

// host matches a host with a dot and an optional port, path, query and fragment.
var host = regexp.MustCompile(`^(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?\.)+[\p{L}][\p{L}\p{N}-]+(?::\d{1,5})?(?:[/?#]\S*)?$`)

// withScheme adds https:// to text that begins with a host, as the web form does.
func withScheme(text string) string {
	if host.MatchString(text) {
		return "https://" + text
	}
	return text
}

// target is a URL to shorten.
type target struct {
	url  string
	line int // line of standard input, from 1; 0: an argument
}

// shortened is the result of one target.
type shortened struct {
	target
	link terseclient.Link
	err  error // why the server rejected this URL
}

// Run shortens the URLs and prints the short URLs in the order of the arguments.
func (c *shortenCommand) Run(ctx context.Context, out output) error {
	template, err := c.template(out.stdin)
	if err != nil {
		return settingsError{err}
	}
	api, err := c.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	failed := 0
	print := printer(out.stdout, c.JSON)
	err = inorder.Run(ctx, shortenCalls, c.targets(out.stdin), func(ctx context.Context, t target) (shortened, error) {
		l := template
		l.URL = withScheme(t.url)
		created, err := api.Create(ctx, l, rand.Text())
		refused, ok := errors.AsType[*terseclient.Problem](err)
		if ok && refused.RejectsLink() {
			return shortened{target: t, err: refused}, nil
		}
		return shortened{target: t, link: created}, err
	}, func(s shortened) error {
		if s.err == nil {
			return print(&s.link)
		}
		failed++
		where := ""
		if s.line > 0 {
			where = fmt.Sprintf("line %d: ", s.line)
			if !utf8.ValidString(s.url) {
				s.err = fmt.Errorf("%w. If standard input has another encoding, name it with --encoding", s.err)
			}
		}
		fmt.Fprintf(out.stderr, "terse: %s%v\n", where, s.err)
		return nil
	})
	if err == nil && failed > 0 {
		return fmt.Errorf("%d URLs were rejected", failed)
	}
	return err
}

// targets returns the next function for inorder.Run. It yields the arguments. In place of a "-"
// it yields the lines of standard input.
func (c *shortenCommand) targets(stdin io.Reader) func() (target, error) {
	args := c.URLs
	var lines *bufio.Scanner
	line := 0
	return func() (target, error) {
		for {
			switch {
			case lines != nil:
				for lines.Scan() {
					line++
					if text := strings.TrimSpace(lines.Text()); text != "" {
						return target{text, line}, nil
					}
				}
				if err := lines.Err(); err != nil {
					return target{}, fmt.Errorf("line %d: %w", line+1, err)
				}
				lines = nil
			case len(args) == 0:
				return target{}, io.EOF
			case args[0] == "-":
				text, err := transfer.NewTextReader(stdin, c.Encoding)
				if err != nil {
					return target{}, err
				}
				args, lines = args[1:], bufio.NewScanner(text)
			default:
				arg := args[0]
				args = args[1:]
				return target{url: arg}, nil
			}
		}
	}
}

// printer returns a function that prints the short URL of a link, or the link as a line of
// JSON.
func printer(w io.Writer, asJSON bool) func(l *terseclient.Link) error {
	if asJSON {
		return func(l *terseclient.Link) error { return printJSON(w, l) }
	}
	return func(l *terseclient.Link) error {
		_, err := fmt.Fprintln(w, l.ShortURL)
		return err
	}
}
