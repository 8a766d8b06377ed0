package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// version is set when the binary is built.
var version = "dev"

const description = `Terse shortens URLs. POST a long URL to get a short one; a GET of the short one redirects.

"terse serve" stores links in an embedded database in ./data and needs nothing else.

A setting is a flag, an environment variable (TERSE_BASE_URL for --base-url) or a member of the JSON file that --config names ({"base_url": "…"}). A flag wins over the environment, and the environment wins over the file. A secret is never a flag, because every user of the machine can list flags. It can be in a file of its own instead (TERSE_CODE_KEY_FILE).`

// app is the command line.
type app struct {
	Serve     serveCommand     `cmd:"" help:"Run the server: redirects, the API and the web form."`
	Migrate   migrateCommand   `cmd:"" help:"Migrate the schema of the database up or down, or show its version."`
	Key       keyCommand       `cmd:"" help:"Create, list and revoke API keys. Works beside a running server."`
	SignIn    signInCommand    `cmd:"" help:"Print a link that signs in once as an administrator. Works beside a running server."`
	Block     blockCommand     `cmd:"" help:"Block, unblock and list hosts. Works beside a running server."`
	Backup    backupCommand    `cmd:"" help:"Copy the embedded database to a file. Works beside a running server."`
	Restore   restoreCommand   `cmd:"" help:"Replace the embedded database by a copy. Stop the server first."`
	Shard     shardCommand     `cmd:"" help:"Show the shards and their servers."`
	Shorten   shortenCommand   `cmd:"" help:"Shorten URLs on a server and print the short URLs."`
	Expand    expandCommand    `cmd:"" help:"Print the target of a short URL."`
	Links     linksCommand     `cmd:"" help:"Show, change, export and import the links of a server."`
	Clicks    clicksCommand    `cmd:"" help:"Count the clicks in access logs of a CDN or proxy."`
	Domain    domainCommand    `cmd:"" help:"Add, show, verify, change and remove domains of short links."`
	Workspace workspaceCommand `cmd:"" help:"List the workspaces of a server."`
	Member    memberCommand    `cmd:"" help:"Invite people to a workspace, change their roles and remove them."`
	Reports   reportsCommand   `cmd:"" help:"Show and close the reports of visitors. Needs an admin key."`
	Login     loginCommand     `cmd:"" help:"Save the address of a server and an API key for the commands that call a server."`
	Logout    logoutCommand    `cmd:"" help:"Delete the saved server and API key."`
	Version   versionCommand   `cmd:"" help:"Print the version."`

	Completion completionCommand `cmd:"" help:"Print the lines that turn on completion in bash, zsh or fish."`
	Man        manCommand        `cmd:"" help:"Print the manual page, for man: terse man > terse.1"`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// output is the standard streams of a command. Results go to stdout; messages go to
// stderr.
type output struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	login          string // path of the saved login, see loginPath
}

// run executes one command line and returns the exit status: 0 for success, 1 when the
// command failed, 2 when the command line or a setting is wrong.
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
		kong.Bind(settings, output{stdin, stdout, stderr, loginPath(environ)}),
		kong.Vars{"version": "terse " + version},
	)
	if err != nil {
		return report(stderr, false, err, 2)
	}
	fail := func(err error, status int) int {
		return report(stderr, cli.logsJSON(args, settings), err, status)
	}
	if kongcompletion.Register(parser); exit >= 0 { // completions were printed
		return exit
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	if err := checkText(args, environ); err != nil {
		return fail(err, 2)
	}
	command, err := parser.Parse(args)
	switch {
	case exit >= 0: // help or the version was printed
		return exit
	case err != nil:
		return fail(fmt.Errorf("%w (try: terse --help)", err), 2)
	}
	settings.refuseSecrets(command.Path)
	if err := settings.err(); err != nil {
		return fail(err, 2)
	}
	if err := command.Run(); err != nil {
		return fail(err, 1)
	}
	return 0
}

// checkText rejects arguments and settings that are not UTF-8. The parser would replace their
// invalid bytes.
func checkText(args, environ []string) error {
	var problems []error
	for i, arg := range args {
		if !utf8.ValidString(arg) {
			problems = append(problems, fmt.Errorf("argument %d must be valid UTF-8: %+q", i+1, arg))
		}
	}
	for _, pair := range environ {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, envPrefix) && !utf8.ValidString(value) {
			problems = append(problems, fmt.Errorf("%s must be valid UTF-8", name))
		}
	}
	return errors.Join(problems...)
}

// report prints one line for each problem in err, as text or as JSON. It returns the exit
// status: 2 for a wrong setting, else status.
func report(w io.Writer, inJSON bool, err error, status int) int {
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); inJSON {
			logProblem(w, line)
			continue
		}
		fmt.Fprintln(w, "terse:", line)
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
