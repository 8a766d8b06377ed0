package main

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// minDistinct is how many different bytes a random key has at least: one of 32 bytes
// has fewer than 20 once in more than 10^9.
const minDistinct = 20

// checkRandom refuses a key that somebody has written by hand: one that repeats, that
// counts, that has few different bytes, or that is text.
func checkRandom(key []byte) error {
	distinct, steps, text := map[byte]bool{}, map[byte]bool{}, true
	var before byte
	for _, b := range key {
		distinct[b] = true
		steps[b-before] = true
		before = b
		text = text && b >= ' ' && b <= '~'
	}
	switch {
	case len(steps) < minDistinct/2:
		return errors.New("its bytes follow a pattern")
	case len(distinct) < minDistinct:
		return errors.New("it has too few different bytes")
	case text:
		return errors.New("it is text")
	}
	return nil
}

// minSecretLen is the shortest secret in bytes: less can be guessed by trying.
const minSecretLen = 8

// errSample says that a secret is no secret. It never repeats it.
var errSample = errors.New("has a password that stands in examples: make one of your own")

// checkSecret refuses a password or token that is a sample, short or patterned. None is for
// who trusts the network.
func checkSecret(secret string) error {
	switch {
	case secret == "":
		return nil
	case isSample(secret):
		return errSample
	case len(secret) < minSecretLen:
		return errors.New("is too short to be a secret: `openssl rand -hex 24` prints a good one")
	case isPatterned(secret):
		return errors.New("follows a pattern: `openssl rand -hex 24` prints a good secret")
	}
	return nil
}

// isPatterned reports whether a secret repeats its begin over and over, or counts up or
// down.
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

// samples are what examples, images and tutorials have for a password, in small letters
// and without marks.
var samples = []string{
	"password", "passwd", "pass", "secret", "mysecret", "mypassword", "yourpassword", "yoursecret", "yourtoken", "token", "apitoken", "apikey",
	"changeme", "changeit", "change", "replaceme", "example", "sample", "default", "test", "testing", "todo", "hunter2", "letmein",
	"admin", "root", "postgres", "redis", "foobared", "varnish", "qwerty", "12345678", "123456789", "1234567890", "123456", "1234",
}

// marks is what writers of samples put between and around words.
var marks = regexp.MustCompile(`[^a-z0-9]+`)

// isSample reports whether a secret is one of the samples, in any spelling, or one
// character over and over.
func isSample(secret string) bool {
	plain := marks.ReplaceAllString(strings.ToLower(secret), "")
	return slices.Contains(samples, plain) || strings.Trim(secret, secret[:1]) == "" || strings.HasPrefix(secret, "<") && strings.HasSuffix(secret, ">")
}
