package main

import (
	"fmt"
	"io"
	"os"

	terseclient "github.com/terse/terse/client"
)

// maxRulesFile is the most bytes of a file of rules. The server accepts 16 KiB without spaces.
const maxRulesFile = 64 << 10

// readRules returns the rules in the file of --rules, see readSmallFile. The error names the place of each
// problem.
func readRules(path string, stdin io.Reader) ([]terseclient.Rule, error) {
	const flag = "--rules"
	text, err := readSmallFile(flag, path, stdin, maxRulesFile)
	if err != nil || text == "" {
		return nil, err
	}
	rules, err := terseclient.ParseRules([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return rules, nil
}

// readSmallFile returns the text of a file, or of stdin for "-". An empty path is an empty text. The error is
// for the flag with this name, also if the file has more than most bytes.
func readSmallFile(flag, path string, stdin io.Reader, most int64) (string, error) {
	if path == "" {
		return "", nil
	}
	from := stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the user names the file
		if err != nil {
			return "", fmt.Errorf("%s: %w", flag, err)
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	content, err := io.ReadAll(io.LimitReader(from, most+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", flag, err)
	case int64(len(content)) > most:
		return "", fmt.Errorf("%s: must be at most %d bytes long", flag, most)
	case len(content) == 0:
		return "", fmt.Errorf("%s: the file is empty", flag)
	}
	return string(content), nil
}
