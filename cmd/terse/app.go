package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// version is set when the binary is built.
var version = "dev"

const description = `Terse shortens URLs: POST a long URL, get a short one, and every GET of it redirects.

"terse serve" starts on an embedded database in ./data and needs nothing else.

A setting is a flag, an environment variable (TERSE_BASE_URL for --base-url) or a member of a JSON file ({"base_url": "…"}, named by --config): the flag wins over the environment, the environment over the file. A secret may also be the content of a file (TERSE_CODE_KEY_FILE).`

// app is the command line.
type app struct {
	Serve   serveCommand   `cmd:"" help:"Answer redirects, the API and the web form."`
	Migrate migrateCommand `cmd:"" help:"Bring the schema of the database up or down, or show it."`
	Key     keyCommand     `cmd:"" help:"Create, list and revoke API keys, also beside a running server."`
	Block   blockCommand   `cmd:"" help:"Block hosts, list them and take them off again, also beside a running server."`
	Shard   shardCommand   `cmd:"" help:"Show the shards and their servers."`
	Shorten shortenCommand `cmd:"" help:"Shorten URLs on a server, and print the short ones."`
	Expand  expandCommand  `cmd:"" help:"Print where a short URL leads."`
	Links   linksCommand   `cmd:"" help:"List, export and import links of a server."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// output is where commands read and write: results go to stdout, what happens to
// stderr.
type output struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run executes one command line and returns the exit status: 0 when it did what
// was asked, 1 when that failed, 2 when the command line or a setting is wrong.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	exit := -1
	var cli app
	settings := newSources(environ)
	parser, err := kong.New(
		&cli,
		kong.Name("terse"),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(status int) { exit = status }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.PostBuild(settings.learn),
		kong.Resolvers(settings),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(settings, output{stdin, stdout, stderr}),
	)
	if err != nil {
		return report(stderr, err, 2)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	switch {
	case exit >= 0: // help was printed
		return exit
	case err != nil:
		return report(stderr, fmt.Errorf("%w (try: terse --help)", err), 2)
	}
	if err := settings.err(); err != nil {
		return report(stderr, err, 2)
	}
	if err := command.Run(); err != nil {
		return report(stderr, err, 1)
	}
	return 0
}

// report prints an error, one line for each problem that it joins, and returns
// the exit status: 2 for a wrong setting, else the given one.
func report(w io.Writer, err error, status int) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintln(w, "terse:", strings.TrimSpace(line))
	}
	if isSettings(err) {
		return 2
	}
	return status
}

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(out output) error {
	_, err := fmt.Fprintln(out.stdout, "terse", version)
	return err
}
