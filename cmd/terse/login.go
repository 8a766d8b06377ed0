package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	terseclient "github.com/terse/terse/client"
	"github.com/terse/terse/internal/outfile"
)

// login is what terse login saves.
type login struct {
	Server string `json:"server"`
	APIKey string `json:"api_key"`
}

// loginPath returns the path of the saved login, or "" without a home folder.
func loginPath(environ []string) string {
	var home, config string
	for _, pair := range environ {
		switch name, value, _ := strings.Cut(pair, "="); name {
		case "HOME":
			home = value
		case "XDG_CONFIG_HOME":
			config = value
		}
	}
	if config == "" && home == "" {
		return ""
	}
	return filepath.Join(cmp.Or(config, filepath.Join(home, ".config")), "terse", "login.json")
}

// readLogin reads the saved login. It returns the zero login if there is none, and an error for
// a file that another user may have written.
func readLogin(path string) (login, error) {
	if path == "" {
		return login{}, nil
	}
	content, err := outfile.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return login{}, nil
	}
	var saved login
	if err == nil {
		err = json.Unmarshal(content, &saved)
	}
	if err != nil {
		return login{}, fmt.Errorf("read the saved login: %s: %w. Delete the file or run terse login", path, err)
	}
	return saved, nil
}

type loginCommand struct {
	Server string `arg:"" name:"url" help:"The server, such as https://sho.rt."`
}

// Help is shown below the command's purpose.
func (*loginCommand) Help() string {
	return `It asks for an API key, checks the key, and saves both in ~/.config/terse/login.json, which only you can read. The other commands
then use this server and this key. TERSE_SERVER and TERSE_API_KEY win over the saved login. In a script, pass the key on
standard input:

    terse login https://sho.rt < key.txt`
}

// Run asks for a key and saves it.
func (c *loginCommand) Run(ctx context.Context, out output) error {
	if out.login == "" {
		return errors.New("there is no home folder to save the login in. Set HOME, or use TERSE_SERVER and TERSE_API_KEY instead")
	}
	key, err := askKey(out)
	if err != nil {
		return err
	}
	if key == "" {
		return settingsError{errors.New("the API key is empty")}
	}
	flags := clientFlags{Server: strings.TrimRight(c.Server, "/"), APIKey: key}
	api, err := flags.open(out)
	if err != nil {
		return err
	}
	defer api.Close()
	if err := checkKey(ctx, api); err != nil {
		return err
	}
	content, err := json.Marshal(login{flags.Server, key}) //nolint:gosec // the file is private
	if err != nil {
		return err
	}
	err = os.MkdirAll(filepath.Dir(out.login), 0o700)
	if err == nil {
		err = outfile.WriteFile(out.login, append(content, '\n'))
	}
	if err != nil {
		return fmt.Errorf("save the login: %w", err)
	}
	fmt.Fprintf(out.stderr, "Logged in to %s. The login is in %s.\n", flags.Server, out.login)
	return nil
}

// checkKey returns an error if the server does not know the key of api. A key without the scope
// links:read is valid.
func checkKey(ctx context.Context, api *terseclient.Client) error {
	_, err := api.List(ctx, terseclient.Query{Limit: 1})
	if problem, ok := errors.AsType[*terseclient.Problem](err); ok && problem.Status == http.StatusForbidden {
		return nil
	}
	return err
}

// askKey reads an API key from the terminal without showing it, or the first line of a standard
// input that is no terminal.
func askKey(out output) (string, error) {
	if f, ok := out.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(out.stderr, "API key: ")
		key, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(out.stderr)
		return strings.TrimSpace(string(key)), err
	}
	const longest = 4096
	line, err := bufio.NewReader(io.LimitReader(out.stdin, longest)).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimSpace(line), err
}

type logoutCommand struct{}

// Run deletes the saved login.
func (logoutCommand) Run(out output) error {
	err := os.Remove(out.login)
	if out.login == "" || errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no saved login")
	}
	return err
}
