package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
)

const envPrefix = "TERSE_"

// sources finds the value of a setting that the command line does not give: first in the
// environment, then in the JSON file of --config. It collects all problems to report
// them at once.
type sources struct {
	env      map[string]string // variables that begin with envPrefix
	known    map[string]bool   // variables that some command uses
	members  map[string]bool   // members that the file may have
	file     map[string]string // nil until the file is read
	problems []error
}

// settingsError is the problems of the command line and settings. Its exit status is 2.
type settingsError struct{ error }

func (e settingsError) Unwrap() error { return e.error }

func isSettings(err error) bool { return errors.As(err, &settingsError{}) }

func newSources(environ []string) *sources {
	s := &sources{env: map[string]string{}, known: map[string]bool{}, members: map[string]bool{}}
	for _, pair := range environ {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, envPrefix) {
			s.env[name] = value
		}
	}
	return s
}

// variable returns the environment variable of a flag.
func variable(flag *kong.Flag) string {
	return envPrefix + strings.ToUpper(member(flag))
}

// member returns the member of the JSON file for a flag.
func member(flag *kong.Flag) string { return strings.ReplaceAll(flag.Name, "-", "_") }

// learn collects the flags that are settings, and adds the variable to the help of each.
func (s *sources) learn(k *kong.Kong) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		flag, ok := node.(*kong.Flag)
		if ok && flag.Tag.Has("setting") {
			s.known[variable(flag)] = true
			s.members[member(flag)] = true
			note := ""
			if flag.Tag.Has("secret") {
				s.known[variable(flag)+"_FILE"] = true
				note = ", not as a flag"
			}
			flag.Help += " ($" + variable(flag) + note + ")"
		}
		return next(nil)
	})
}

// Validate is part of kong.Resolver.
func (s *sources) Validate(*kong.Application) error { return nil }

// Resolve is part of kong.Resolver. It returns the value of a setting that the command
// line does not give, or nil when no source has one.
func (s *sources) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !flag.Tag.Has("setting") {
		return nil, nil
	}
	if value, ok := s.variable(flag); ok {
		return value, nil
	}
	if flag.Name == "config" {
		return nil, nil
	}
	if s.file == nil {
		s.readFile(s.configPath(ctx))
	}
	if value, ok := s.file[member(flag)]; ok {
		return value, nil
	}
	return nil, nil
}

// variable returns the value of a flag from the environment, or from the file that its
// _FILE variable names. An empty variable counts as absent.
func (s *sources) variable(flag *kong.Flag) (string, bool) {
	name := variable(flag)
	value, path := s.env[name], s.env[name+"_FILE"]
	if !flag.Tag.Has("secret") || path == "" {
		return value, value != ""
	}
	if value != "" {
		s.fail("%s and %s_FILE are both set: remove one of them", name, name)
		return value, true
	}
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	value = strings.TrimSpace(string(content))
	switch {
	case err != nil:
		s.fail("%s_FILE: %w", name, err)
	case value == "":
		s.fail("%s_FILE: %s is empty", name, path)
	}
	return value, true
}

// configPath returns the path from --config, else from TERSE_CONFIG, else "".
func (s *sources) configPath(ctx *kong.Context) string {
	for _, p := range ctx.Path {
		if p.Flag != nil && p.Flag.Name == "config" {
			if path, ok := ctx.FlagValue(p.Flag).(string); ok {
				return path
			}
		}
	}
	return s.env[envPrefix+"CONFIG"]
}

// readFile reads the JSON file. The file is one object, and its members are settings.
func (s *sources) readFile(path string) {
	s.file = map[string]string{}
	if path == "" {
		return
	}
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		s.fail("TERSE_CONFIG: %w", err)
		return
	}
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	err = decoder.Decode(&members)
	if _, more := decoder.Token(); err == nil && (members == nil || !errors.Is(more, io.EOF)) {
		err = errors.New("the file must contain exactly one object")
	}
	if err != nil {
		s.fail("TERSE_CONFIG: %s is not a JSON object: %w", path, err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if !s.members[name] || name == "config" {
			s.fail("%s: unknown setting %q%s", path, name, didYouMean(name, maps.Keys(s.members)))
			continue
		}
		switch value := members[name].(type) {
		case string, bool, json.Number:
			s.file[name] = fmt.Sprint(value)
		default:
			s.fail("%s: %q must be a string, a number, true or false", path, name)
		}
	}
}

// refuseSecrets adds a problem for each secret on the command line. Every user of the machine
// can list the arguments of a process.
func (s *sources) refuseSecrets(line []*kong.Path) {
	for _, p := range line {
		if p.Flag != nil && !p.Resolved && p.Flag.Tag.Has("secret") {
			s.fail("--%s: every user of this machine can read a secret on the command line. Set %s or %s_FILE", p.Flag.Name, variable(p.Flag), variable(p.Flag))
		}
	}
}

func (s *sources) fail(format string, args ...any) {
	s.problems = append(s.problems, fmt.Errorf(format, args...))
}

// err returns every problem of the sources, as a settingsError. A TERSE_ variable that no
// command uses is a problem. It returns nil without problems.
func (s *sources) err() error {
	problems := slices.Clone(s.problems)
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		if !s.known[name] {
			problems = append(problems, fmt.Errorf("%s: unknown setting%s", name, didYouMean(name, maps.Keys(s.known))))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return settingsError{errors.Join(problems...)}
}

// didYouMean returns a suggestion for a misspelled name, or "" if no known name is similar.
func didYouMean(name string, known iter.Seq[string]) string {
	best, distance := "", 1+len(name)/4
	for _, k := range slices.Sorted(known) {
		if d := levenshtein.ComputeDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}
