package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// minSecretLen is the shortest secret in bytes. A shorter secret can be found by trying.
const minSecretLen = 8

// errSample reports a secret from an example, without repeating the secret.
var errSample = errors.New("contains a password from an example. Use your own")

// checkSecret rejects a password or token that is a sample, short or patterned. It accepts
// an empty secret: some networks need none.
func checkSecret(secret string) error {
	switch {
	case secret == "":
		return nil
	case isSample(secret):
		return errSample
	case len(secret) < minSecretLen:
		return errors.New("is too short to be a secret. Make one: openssl rand -hex 24")
	case isPatterned(secret):
		return errors.New("follows a pattern. Make a secret: openssl rand -hex 24")
	}
	return nil
}

// isPatterned reports whether a secret repeats its beginning, or counts up or down. The
// secret must have at least two bytes.
func isPatterned(secret string) bool {
	for unit := 1; unit <= len(secret)/2; unit++ {
		if secret[unit:] == secret[:len(secret)-unit] {
			return true
		}
	}
	step := secret[1] - secret[0]
	for i := 2; i < len(secret); i++ {
		if secret[i]-secret[i-1] != step {
			return false
		}
	}
	return true
}

// samples are passwords from examples, images and tutorials, in lower case and without
// punctuation.
var samples = []string{
	"password", "passwd", "pass", "secret", "mysecret", "mypassword", "yourpassword", "yoursecret", "yourtoken", "token", "apitoken", "apikey",
	"changeme", "changeit", "change", "replaceme", "example", "sample", "default", "test", "testing", "todo", "hunter2", "letmein",
	"admin", "root", "postgres", "redis", "foobared", "varnish", "qwerty", "12345678", "123456789", "1234567890", "123456", "1234",
}

// punctuation stands between and around the words of a sample.
var punctuation = regexp.MustCompile(`[^a-z0-9]+`)

// isSample reports whether a secret is one of the samples in any spelling, one repeated
// character, or a placeholder in angle brackets.
func isSample(secret string) bool {
	plain := punctuation.ReplaceAllString(strings.ToLower(secret), "")
	return slices.Contains(samples, plain) || strings.Trim(secret, secret[:1]) == "" || strings.HasPrefix(secret, "<") && strings.HasSuffix(secret, ">")
}
